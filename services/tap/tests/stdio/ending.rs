//! Exit codes and signals pass, in both directions, and nothing is left behind.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};
use tokio::time::Instant;

use super::*;

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_exit_code_is_the_servers() {
    for expected in [0, 1, 7, 255] {
        let output = run(tap(&nobody(), &format!("exit {expected}")));
        assert_eq!(output.status.code(), Some(expected));
    }
}

#[test]
fn a_server_that_a_signal_ended_ends_the_tap_with_the_same() {
    for (name, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11), ("HUP", 1)] {
        let output = run(tap(&nobody(), &format!("kill -{name} $$")));
        assert_eq!(output.status.signal(), Some(number), "{name}");
    }
}

#[test]
fn signals_are_passed_on_and_the_server_decides() {
    for (name, sent) in [("TERM", Signal::TERM), ("INT", Signal::INT), ("HUP", Signal::HUP)] {
        let script = format!("trap 'exit 42' {name}; echo ready; while read x; do :; done; exit 1");
        let (child, stdin) = ready(tap(&nobody(), &script));
        signal(&child, sent);
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(42), "{name}");
        drop(stdin);
    }
}

#[test]
fn a_signal_to_the_group_reaches_the_server_once() {
    let script = "n=0; trap 'n=$((n+1)); echo INT' INT; trap 'echo $n >&2' USR1
        trap 'exit $n' TERM; echo $$ >&2; echo ready; while :; do read -r x; done";
    let mut command = tap(&nobody(), script);
    command.process_group(0).env("MCP_TAP_LOG", "off");
    let (mut child, stdin) = ready(command);
    let server: i32 = line(child.stderr.as_mut().unwrap()).parse().unwrap();
    let group = Pid::from_child(&child);
    // While the tap is stopped nothing can have come through it.
    signal(&child, Signal::STOP);
    kill_process_group(group, Signal::INT).unwrap();
    kill_process(Pid::from_raw(server).unwrap(), Signal::USR1).unwrap();
    assert_eq!(line(child.stderr.as_mut().unwrap()), "0", "the group's signal passed the tap by");
    signal(&child, Signal::CONT);
    assert_eq!(line(child.stdout.as_mut().unwrap()), "INT");
    kill_process_group(group, Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
    drop(stdin);
}

#[test]
fn a_launchers_child_hears_the_signal_too() {
    // The launcher waits and passes nothing on, as shells do.
    let script = "sh -c 'trap \"exit 7\" INT; echo ready; while :; do read -r x; done'; exit $?";
    let (child, stdin) = ready(tap(&nobody(), &format!("trap : INT; {script}")));
    signal(&child, Signal::INT);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(7));
    drop(stdin);
}

#[test]
fn a_killed_tap_is_the_end_of_the_servers_input() {
    let mut command = tap(&nobody(), "echo ready; cat; echo ended >&2");
    command.process_group(0);
    let (child, stdin) = ready(command);
    kill_process_group(Pid::from_child(&child), Signal::KILL).unwrap();
    // The server holds standard error, so its end is the server's.
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(9));
    assert!(text(&output.stderr).ends_with("ended\n"), "{}", text(&output.stderr));
    drop(stdin);
}

#[test]
fn a_signal_that_the_server_ignores_ends_nothing() {
    let (mut child, mut stdin) = ready(tap(&nobody(), "trap '' TERM; echo ready; exec cat"));
    signal(&child, Signal::TERM);
    stdin.write_all(b"still here\n").unwrap();
    assert_eq!(line(child.stdout.as_mut().unwrap()), "still here");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_terminated_tap_leaves_no_server_behind() {
    let mut child = tap(&nobody(), "echo $$; exec cat").spawn().unwrap();
    let server: i32 = line(child.stdout.as_mut().unwrap()).parse().unwrap();
    // Waiting would close it, and a server may end by that before the signal has reached it.
    let stdin = child.stdin.take();
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    drop(stdin);
    assert!(test_kill_process(Pid::from_raw(server).unwrap()).is_err(), "the server is gone");
}

#[test]
fn somebody_else_who_holds_the_output_open_does_not_hold_the_exit() {
    let script = "sleep 30 2>/dev/null & echo $!; exit 4";
    let mut child = tap(&nobody(), script).spawn().unwrap();
    let sleeper: i32 = line(child.stdout.as_mut().unwrap()).parse().unwrap();
    let since = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(4));
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    kill_process(Pid::from_raw(sleeper).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn an_exporter_that_is_away_does_not_hold_the_exit() {
    let since = Instant::now();
    let mut command = tap(&nobody(), "exit 6");
    command.stderr(Stdio::inherit());
    assert_eq!(run(command).status.code(), Some(6));
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[test]
fn an_exporter_that_hangs_holds_the_exit_for_two_seconds_at_most() {
    let gate = mcpmon_testkit::http_script::Gate::default();
    let held = gate.clone();
    let exporter = HttpScript::start(move |_| Answer::status(202, "{}").after(&held));
    let since = Instant::now();
    assert_eq!(run(tap(&exporter.url(), "exit 6")).status.code(), Some(6));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    gate.open();
}
