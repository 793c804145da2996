//! A real Docker engine of a test's own, in a network namespace of its own, and one image: a small
//! Debian that can boot systemd.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::PATIENCE;

pub(crate) const IMAGE: &str = "mcpmon-test:1";

/// The running engine; it and its containers end when this is dropped.
pub(crate) struct Engine {
    child: Child,
    folder: TempDir,
}

impl Engine {
    /// Starts it, waits until it answers and imports the image.
    pub(crate) fn start() -> Self {
        assert!(rustix::process::geteuid().is_root(), "an engine of its own needs root");
        let folder = tempfile::tempdir().unwrap();
        // The engine ends with us, in every case. Each program of the chain becomes the next, so the
        // child is the engine itself.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(repository().join("tests/stack/engine"))
            .args([folder.path().join("run"), folder.path().join("data")])
            .stdin(Stdio::null())
            .spawn()
            .expect("setpriv of util-linux starts the engine");
        let mut engine = Self { child, folder };
        engine.wait_until_it_answers();
        engine.docker(&["import", root_file_system().to_str().unwrap(), IMAGE]);
        engine
    }

    /// The key `engine`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("run/docker.sock").display())
    }

    /// A folder that containers may see.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// What a command of Docker's prints; it must succeed.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let output = self.try_docker(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn try_docker(&self, arguments: &[&str]) -> Output {
        Command::new("docker")
            .args(["--host", &self.address()])
            .args(arguments)
            .output()
            .expect("docker is missing: `make test-deps` installs it")
    }

    /// Starts a container that runs these lines of shell.
    pub(crate) fn run(&self, name: &str, options: &[&str], lines: &str) {
        let start = ["run", "--detach", "--network", "none", "--name", name];
        self.docker(&[&start, options, &[IMAGE, "sh", "-c", lines]].concat());
    }

    /// Stops its clock: it takes connections and answers nobody.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    fn wait_until_it_answers(&mut self) {
        let pause = Duration::from_millis(100);
        for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
            if self.try_docker(&["version"]).status.success() {
                return;
            }
            if self.child.try_wait().unwrap().is_some() {
                break;
            }
            sleep(pause);
        }
        let log = fs::read_to_string(self.folder.path().join("run/engine.log"));
        panic!("the engine does not start: {}", log.unwrap_or_default());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.thaw();
        // Its own end would wait for each of them.
        let all = self.docker(&["ps", "--all", "--quiet"]);
        if !all.is_empty() {
            let all: Vec<_> = all.lines().collect();
            self.docker(&[&["rm", "--force"], &all[..]].concat());
        }
        self.signal(Signal::TERM);
        let _ = self.child.wait();
    }
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The image's files, as `make test-deps` puts them into the cache.
fn root_file_system() -> PathBuf {
    let path = env::var_os("MCPMON_SYSTEMD_ROOT").map(PathBuf::from);
    let path = path.expect("MCPMON_SYSTEMD_ROOT is not set: `make nextest` sets it");
    assert!(path.exists(), "{} is missing: `make test-deps` makes it", path.display());
    path
}
