//! Kind `systemd`, with a real systemd that is process 1 of a container, and the polkit rule that we
//! ship. Its bus's folder is one of ours, so the action reaches it from outside, as the user that
//! the rule names.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use mcp_remediation::action::{Condition, Trouble};

use crate::engine::{Engine, IMAGE};
use crate::support::{PATIENCE, act, action, condition, is_ours, run, stopped};

/// The number of the user `mcpmon` in the image.
const USER: &str = "990";
/// Says to the second run of this test where the bus is.
const BUS: &str = "ACTIONS_TEST_BUS";
const CONTAINER: &str = "systemd";

/// Each with the lines of its `[Service]`, and more for its `[Unit]`.
const UNITS: [(&str, &str, &str); 6] = [
    // What nothing refers to is forgotten when it stops.
    ("good.service", "ExecStart=/bin/sleep 1d", "After=stopped.service"),
    ("other.service", "ExecStart=/bin/sleep 1d", ""),
    ("failing.service", "ExecStart=/bin/sh -c 'exit 1'", ""),
    ("stopped.service", "ExecStart=/bin/sleep 1d", ""),
    (
        "limited.service",
        "ExecStart=/bin/sh -c 'test -e /tmp/mended && exec sleep 1d'",
        "StartLimitBurst=2\nStartLimitIntervalSec=1h",
    ),
    ("slow.service", "Type=oneshot\nExecStart=/bin/sleep 1d", ""),
];

#[tokio::test]
async fn a_real_systemd_restarts_what_its_rule_allows() {
    if let Ok(address) = env::var(BUS) {
        return as_the_rules_user(&address).await;
    }
    let engine = Engine::start();
    let bus = boot(&engine);
    let inside = |command: &[&str]| engine.docker(&[&["exec", CONTAINER], command].concat());
    for unit in ["good", "other", "stopped", "limited"] {
        let _ = engine.try_docker(&["exec", CONTAINER, "systemctl", "start", unit]);
    }
    inside(&["systemctl", "stop", "stopped"]);
    inside(&["systemctl", "start", "--no-block", "slow"]);
    inside(&["systemctl", "start", "failing"]);
    wait_for(&engine, "failing", "failed exit-code");
    // It starts twice, fails, and is at its limit, which its result does not say.
    for _ in 0..2 {
        wait_for(&engine, "limited", "failed exit-code");
        let _ = engine.try_docker(&["exec", CONTAINER, "systemctl", "start", "limited"]);
    }
    inside(&["touch", "/tmp/mended"]);
    let restart = ["exec", CONTAINER, "systemctl", "restart", "limited"];
    assert!(!engine.try_docker(&restart).status.success(), "nothing but a reset helps");

    rerun(&engine, &bus);

    assert_eq!(state(&engine, "limited"), "active success");
    assert_eq!(state(&engine, "stopped"), "inactive success");
}

/// What the user does that the rule names; the units are in their states.
async fn as_the_rules_user(address: &str) {
    let unit = |name: &str| action("systemd", &[("unit", name), ("address", address)]);

    let good = unit("good.service");
    assert!(is_ours(&condition(&*good).await));
    let before = run(&*good).await;
    assert_eq!(act(&*good).await, Ok(()));
    let after = run(&*good).await;
    assert_ne!(before.generation, after.generation);
    assert!(before.started_at < after.started_at, "{before:?} {after:?}");

    let other = unit("other.service");
    let before = run(&*other).await;
    let ended = act(&*other).await;
    assert!(matches!(ended, Err(Trouble::Refused(_))), "{ended:?}");
    assert_eq!(run(&*other).await, before);

    assert!(is_ours(&condition(&*unit("failing.service")).await));
    // Its program is started, which is all that systemd promises of it.
    assert_eq!(act(&*unit("failing.service")).await, Ok(()));

    assert_eq!(condition(&*unit("stopped.service")).await, stopped("inactive"));
    let keys = [("unit", "stopped.service"), ("address", address), ("act_on_stopped", "true")];
    assert!(is_ours(&condition(&*action("systemd", &keys)).await));

    let slow = condition(&*unit("slow.service")).await;
    assert!(matches!(slow, Condition::Supervised(_)), "{slow:?}");

    let limited = unit("limited.service");
    assert!(is_ours(&condition(&*limited).await));
    assert_eq!(act(&*limited).await, Ok(()));
    assert!(is_ours(&condition(&*limited).await));

    let absent = unit("no-such.service");
    assert!(matches!(absent.look(PATIENCE).await, Err(Trouble::Absent(_))));
    assert!(matches!(act(&*absent).await, Err(Trouble::Absent(_))));
}

/// Boots it and gives its bus's address.
fn boot(engine: &Engine) -> String {
    let (bus, units) = (engine.shared("bus"), engine.shared("units"));
    let mut options = Vec::new();
    for (name, service, more) in UNITS {
        let text = format!("[Unit]\n{more}\n[Service]\n{service}\n");
        fs::write(units.join(name), text).unwrap();
        let path = units.join(name).display().to_string();
        options.push(format!("--volume={path}:/etc/systemd/system/{name}:ro"));
    }
    let rule = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd/50-mcpmon.rules"),
    );
    let listed = r#""good.service", "failing.service", "stopped.service", "limited.service""#;
    let rule = rule.unwrap().replace(r#""devskyy-mcp.service""#, listed);
    assert!(rule.contains(listed), "the rule that we ship has its list");
    fs::write(units.join("rule"), rule).unwrap();
    fs::set_permissions(units.join("rule"), fs::Permissions::from_mode(0o644)).unwrap();
    options.push(format!(
        "--volume={}:/etc/polkit-1/rules.d/50-mcpmon.rules:ro",
        units.join("rule").display()
    ));
    options.push(format!("--volume={}:/run/dbus", bus.display()));
    let mut start = vec!["run", "--detach", "--network", "none", "--name", CONTAINER];
    start.extend(["--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"]);
    start.extend(["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:ro", "--env", "container=docker"]);
    start.extend(options.iter().map(String::as_str));
    start.extend([IMAGE, "/lib/systemd/systemd"]);
    engine.docker(&start);
    // The users of the bus must get to it; whoever they are is up to polkit.
    for folder in bus.ancestors().take_while(|folder| folder.starts_with(env::temp_dir())) {
        if folder != env::temp_dir() {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    until(|| {
        let running = ["exec", CONTAINER, "systemctl", "is-system-running"];
        let output = engine.try_docker(&running).stdout;
        String::from_utf8_lossy(&output).trim() == "running"
    });
    format!("unix:path={}", bus.join("system_bus_socket").display())
}

/// Runs this test once more, as the user that the rule names.
fn rerun(engine: &Engine, bus: &str) {
    // The build's folder may be closed to that user.
    let program = engine.shared("bin").join("actions");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let test = "systemd::a_real_systemd_restarts_what_its_rule_allows";
    let output = Command::new("setpriv")
        .args(["--reuid", USER, "--regid", USER, "--clear-groups"])
        .arg(&program)
        .args(["--exact", test, "--nocapture"])
        .env(BUS, bus)
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

/// The unit's `ActiveState` and `Result`.
fn state(engine: &Engine, unit: &str) -> String {
    let show = ["exec", CONTAINER, "systemctl", "show", "--property=ActiveState,Result", unit];
    let text = engine.docker(&show);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    format!("{} {}", value("ActiveState="), value("Result="))
}

fn wait_for(engine: &Engine, unit: &str, wanted: &str) {
    until(|| state(engine, unit).starts_with(wanted));
}

fn until(mut is_so: impl FnMut() -> bool) {
    let pause = Duration::from_millis(50);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        if is_so() {
            return;
        }
        sleep(pause);
    }
    panic!("it is not so within {PATIENCE:?}");
}
