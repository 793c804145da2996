//! Kind `command`, with real programs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use mcp_remediation::action::{Action, Trouble};
use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::support::{act, action, condition, is_ours, order};

/// A program of a shell's lines, and the action that runs it.
struct Program {
    folder: TempDir,
    action: Box<dyn Action>,
}

impl Program {
    fn new(lines: &str, arguments: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heal");
        // Another thread that forks while the file is open for writing makes it busy for a moment;
        // each test is a process of its own under nextest.
        fs::write(&path, format!("#!/bin/sh\ncd {}\n{lines}\n", folder.path().display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let path = path.to_str().unwrap();
        let keys =
            [("program", path), ("arguments", arguments), ("remediation.allowed_commands", path)];
        Self { action: action("command", &keys), folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

#[tokio::test]
async fn it_gets_its_arguments_and_no_environment_but_ours() {
    let program = Program::new(
        "printf '%s|' \"$@\" >arguments; env >environment; readlink /proc/self/fd/0 >input",
        r#"["a b", "$HOME", "; touch here"]"#,
    );
    assert!(is_ours(&condition(&*program.action).await));
    assert_eq!(act(&*program.action).await, Ok(()));
    assert_eq!(program.read("arguments"), "a b|$HOME|; touch here|");
    assert_eq!(program.read("input"), "/dev/null\n");
    let environment = program.read("environment");
    // The shell adds PWD itself.
    let mut lines: Vec<_> = environment.lines().filter(|l| !l.contains("PWD=")).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "MCPMON_ATTEMPT=boutique@1795516800000/1",
            "MCPMON_COMPONENT=boutique",
            "MCPMON_FENCING_TOKEN=7",
            "MCPMON_INCIDENT=boutique@1795516800000",
            "PATH=/usr/bin:/bin",
        ]
    );
}

#[tokio::test]
async fn another_exit_code_is_a_failure_with_its_last_words_and_no_secret() {
    let program = Program::new(
        "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo >&2\n\
         echo 'no such unit,' >&2; echo 'password=hunter2' >&2; exit 3",
        "[]",
    );
    let Err(Trouble::Failed(words)) = act(&*program.action).await else { panic!("it failed") };
    assert!(words.starts_with("it ended (exit status: 3): "), "{words}");
    assert!(!words.contains("hunter2") && !words.contains('\n') && words.len() < 600, "{words}");

    let silent = Program::new("kill -9 $$", "[]");
    let expected = "it ended (signal: 9 (SIGKILL)) without a word";
    assert_eq!(act(&*silent.action).await, Err(Trouble::Failed(expected.to_owned())));
}

#[tokio::test]
async fn a_failure_ends_with_its_last_line() {
    let program = Program::new("echo first; echo 'no such unit' >&2; exit 4", "[]");
    let expected = "it ended (exit status: 4): no such unit";
    assert_eq!(act(&*program.action).await, Err(Trouble::Failed(expected.to_owned())));
}

#[tokio::test]
async fn at_the_deadline_the_whole_group_ends_and_nobody_knows_what_it_did() {
    // Both are deaf to TERM; the child would outlive its parent.
    let program =
        Program::new("trap '' TERM; sleep 600 & echo $! >child; echo $$ >parent; wait; wait", "[]");
    let (deadline, start) = (Duration::from_secs(2), Instant::now());
    let ended = program.action.act(&order(), deadline).await;
    assert!(start.elapsed() <= deadline, "{:?}", start.elapsed());
    assert!(matches!(ended, Err(Trouble::Unknown(_))), "{ended:?}");
    for name in ["child", "parent"] {
        gone(program.read(name).trim().parse().unwrap()).await;
    }
}

#[tokio::test]
async fn one_that_is_given_up_is_ended() {
    let program = Program::new("sleep 600 & echo $! >child; mv child ready; wait", "[]");
    let (order, ready) = (order(), program.path("ready"));
    tokio::select! {
        ended = program.action.act(&order, Duration::from_secs(60)) => panic!("{ended:?}"),
        () = written(&ready) => {}
    }
    gone(program.read("ready").trim().parse().unwrap()).await;
}

#[tokio::test]
async fn what_it_leaves_in_the_background_holds_nobody_up() {
    let program = Program::new("sleep 600 & echo $! >child", "[]");
    assert_eq!(act(&*program.action).await, Ok(()));
    let child = Pid::from_raw(program.read("child").trim().parse().unwrap()).unwrap();
    test_kill_process(child).expect("it lives on");
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_program_that_is_missing_or_no_program_is_no_target() {
    let program = Program::new("exit 0", "[]");
    fs::set_permissions(program.path("heal"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(act(&*program.action).await, Err(Trouble::Absent(_))));
    let seen = program.action.look(Duration::from_secs(5)).await;
    assert!(matches!(seen, Err(Trouble::Absent(_))), "{seen:?}");
    fs::remove_file(program.path("heal")).unwrap();
    assert!(matches!(act(&*program.action).await, Err(Trouble::Absent(_))));
    let seen = program.action.look(Duration::from_secs(5)).await;
    assert!(matches!(seen, Err(Trouble::Absent(_))), "{seen:?}");
}

async fn written(path: &Path) {
    while !fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n')) {
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a process has ended. As nobody's child it may stay on as a zombie where process 1
/// reaps nobody.
async fn gone(id: i32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let is_alive = || match fs::read_to_string(format!("/proc/{id}/stat")) {
        Ok(stat) => !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => false,
    };
    while is_alive() {
        assert!(Instant::now() < deadline, "{id} still runs");
        sleep(Duration::from_millis(10)).await;
    }
}
