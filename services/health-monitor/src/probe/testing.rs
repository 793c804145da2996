//! What the tests of the probes share: a probe from its keys, hostile servers, real programs.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mcpmon_bootstrap::settings::environment_name;
use mcpmon_bootstrap::{Settings, Sources};

use super::{Keys, Probe, kind};
use crate::finding::Finding;

const TABLE: &str = "health_monitor.components.it";

/// Long enough for every answer that comes at all.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What one probe with these keys finds.
pub(super) async fn check(kind: &str, keys: &[(&str, &str)]) -> Finding {
    probe(kind, keys).check(PATIENCE).await
}

pub(super) fn probe(kind: &str, keys: &[(&str, &str)]) -> Box<dyn Probe> {
    read(kind, keys).unwrap()
}

/// The probe, or every complaint about its keys, which come from the environment.
pub(super) fn read(name: &str, keys: &[(&str, &str)]) -> Result<Box<dyn Probe>, String> {
    with_keys(keys, |keys| (kind(name).unwrap().read)(keys))
}

pub(super) fn with_keys<T>(
    given: &[(&str, &str)],
    read: impl FnOnce(&mut Keys<'_>) -> Option<T>,
) -> Result<T, String> {
    let variable = |key: &str| environment_name(&format!("{TABLE}.{key}"));
    let environment = given.iter().map(|(key, value)| (variable(key), (*value).to_owned()));
    let sources = Sources { environment: environment.collect(), ..Sources::default() };
    let mut settings = Settings::load(sources).unwrap();
    let read = read(&mut Keys::new(&mut settings, TABLE.to_owned()));
    match settings.finish() {
        Ok(()) => Ok(read.expect("a probe when nothing is wrong")),
        Err(errors) => Err(errors.to_string().replace(TABLE, "it")),
    }
}

/// A server that hands each connection to `serve`, on threads of their own that end with the
/// client's.
pub(super) fn serve_raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = std::sync::Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = std::sync::Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads a request's head.
pub(super) fn skip_head(stream: &mut impl std::io::Read) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
        head.push(byte[0]);
    }
}

/// Sends what it can, then holds the connection until the client goes.
pub(super) fn send_and_hold(mut stream: TcpStream, bytes: &[u8]) {
    skip_head(&mut stream);
    let _ = stream.write_all(bytes);
    let _ = stream.read(&mut [0]);
}

/// Runs one test of this program once more, in a process of its own with that variable set, by
/// way of a shell script that ends in `exec "$@"`.
pub(super) fn rerun(test: &str, variable: (&str, &str), launcher: &[&str], script: &str) {
    let output = Command::new(launcher[0])
        .args(&launcher[1..])
        .args(["sh", "-ec", script, "sh"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable.0, variable.1)
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", launcher[0]));
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

/// A real Prometheus or Alertmanager, on a free port; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
    pub(super) url: String,
}

impl Program {
    /// Starts it and waits until it listens.
    pub(super) fn start(name: &str, arguments: &[&str], folder: &Path) -> Self {
        let mut child = Command::new(debian(name))
            .args(arguments)
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = mpsc::channel();
        // Reads on after that, or it would block on a full pipe.
        thread::spawn(move || {
            let mut lines = Vec::new();
            for line in log.lines().map_while(Result::ok) {
                if line.contains("Listening on")
                    && let Some((_, address)) = line.split_once("address=127.0.0.1:")
                {
                    let _ = found.send(Ok(address.trim().to_owned()));
                }
                lines.push(line);
            }
            let _ = found.send(Err(lines.join("\n")));
        });
        let port = address.recv_timeout(PATIENCE).expect("it says that it listens, or ends");
        Self { child, url: format!("http://127.0.0.1:{}", port.unwrap()) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of Debian's, as `make test-deps` puts them into the cache.
pub(super) fn debian(name: &str) -> PathBuf {
    let cache = || {
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
        let folder = |name| env::var_os(name).map(PathBuf::from);
        folder("MCPMON_CACHE")
            .or_else(|| Some(folder("XDG_CACHE_HOME").or_else(home)?.join("mcpmon")))
            .map(|cache| cache.join("debian-forky/usr/bin"))
    };
    let folder = env::var_os("MCPMON_PROMETHEUS_3").map(PathBuf::from).or_else(cache);
    let program = folder.expect("HOME is set").join(name);
    assert!(program.exists(), "{} is missing: `make test-deps` fetches it", program.display());
    program
}
