//! Kind `systemd`, on a private bus with a scripted manager: what a real one will not do when it is
//! asked to.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_remediation::action::{Action, Condition, Trouble};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, DBusError, OwnedObjectPath, connection, interface};

use crate::support::{PATIENCE, act, action, condition, is_supervised, order, stopped};

const UNIT: &str = "it.service";
const UNIT_PATH: &str = "/org/freedesktop/systemd1/unit/it_2eservice";
const JOB: &str = "/org/freedesktop/systemd1/job/17";

/// A bus for one user's programs, which starts nothing by itself.
const CONFIGURATION: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=SOCKET</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>"#;

/// A real `dbus-daemon`; it ends when this is dropped.
struct Daemon {
    child: Child,
    _folder: TempDir,
    address: String,
}

/// What becomes of a restart.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Its job ends with that result, before the call is answered.
    Job(&'static str),
    /// So, and a reset is denied.
    JobWithoutReset(&'static str),
    /// Its job does not end.
    Never,
    /// It may not.
    Denied,
    /// A password is wanted.
    Password,
    /// It cannot.
    Masked,
}

#[derive(Debug, DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum Error {
    #[zbus(error)]
    ZBus(zbus::Error),
    NoSuchUnit(String),
    UnitMasked(String),
}

struct Manager {
    end: End,
    calls: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy)]
struct Unit {
    active: &'static str,
    sub: &'static str,
    result: &'static str,
    job: u32,
}

struct Service(&'static str);

/// A bus with a systemd that behaves as told, and the action.
struct Scene {
    daemon: Daemon,
    calls: Arc<Mutex<Vec<String>>>,
    action: Box<dyn Action>,
    _systemd: Connection,
}

const ACTIVE: Unit = Unit { active: "active", sub: "running", result: "success", job: 0 };

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (socket, file) = (folder.path().join("bus"), folder.path().join("bus.conf"));
        let text = CONFIGURATION.replace("SOCKET", socket.to_str().unwrap());
        fs::write(&file, text).unwrap();
        let mut child = Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile", "--nosyslog", "--print-address=1"])
            .arg(format!("--config-file={}", file.display()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon is missing: `make test-deps` installs it");
        let mut address = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut address).unwrap();
        Self { child, _folder: folder, address: address.trim().to_owned() }
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have been killed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    async fn subscribe(&self) {
        self.note("Subscribe");
    }

    async fn get_unit(&self, name: String) -> Result<OwnedObjectPath, Error> {
        self.note("GetUnit");
        match name == UNIT {
            true => Ok(UNIT_PATH.try_into().unwrap()),
            false => Err(Error::NoSuchUnit(format!("Unit {name} not loaded."))),
        }
    }

    async fn reset_failed_unit(&self, name: String) -> zbus::fdo::Result<()> {
        self.note(&format!("ResetFailedUnit {name}"));
        match self.end {
            End::JobWithoutReset(_) => Err(zbus::fdo::Error::AccessDenied("no".to_owned())),
            _ => Ok(()),
        }
    }

    async fn restart_unit(
        &self,
        name: String,
        mode: String,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> Result<OwnedObjectPath, zbus::BoxDBusError> {
        self.note(&format!("RestartUnit {name} {mode}"));
        let job: OwnedObjectPath = JOB.try_into().unwrap();
        let other: OwnedObjectPath = "/org/freedesktop/systemd1/job/16".try_into().unwrap();
        match self.end {
            End::Job(result) | End::JobWithoutReset(result) => {
                // Another job of the same unit, which this one replaces.
                Self::job_removed(&emitter, 16, other, &name, "canceled").await.unwrap();
                Self::job_removed(&emitter, 17, job.clone(), &name, result).await.unwrap();
                Ok(job)
            }
            End::Never => Ok(job),
            End::Denied => Err(zbus::fdo::Error::AccessDenied("Access denied".to_owned()).into()),
            End::Password => Err(zbus::fdo::Error::InteractiveAuthorizationRequired(
                "Interactive authentication required.".to_owned(),
            )
            .into()),
            End::Masked => Err(Box::new(Error::UnitMasked(format!("Unit {name} is masked.")))),
        }
    }

    #[zbus(signal)]
    async fn job_removed(
        emitter: &SignalEmitter<'_>,
        id: u32,
        job: OwnedObjectPath,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

impl Manager {
    fn note(&self, call: &str) {
        self.calls.lock().unwrap().push(call.to_owned());
    }
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> &str {
        "loaded"
    }

    #[zbus(property)]
    fn active_state(&self) -> &str {
        self.active
    }

    #[zbus(property)]
    fn sub_state(&self) -> &str {
        self.sub
    }

    #[zbus(property)]
    fn job(&self) -> (u32, OwnedObjectPath) {
        let path = if self.job == 0 { "/" } else { JOB };
        (self.job, path.try_into().unwrap())
    }

    #[zbus(property, name = "InvocationID")]
    fn invocation_id(&self) -> Vec<u8> {
        (0..16).collect()
    }

    #[zbus(property)]
    fn active_enter_timestamp(&self) -> u64 {
        1_795_516_801_000_000
    }
}

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property)]
    fn result(&self) -> &str {
        self.0
    }

    #[zbus(property)]
    fn exec_main_start_timestamp(&self) -> u64 {
        1_795_516_800_123_456
    }
}

impl Scene {
    async fn new(unit: Unit, end: End) -> Self {
        let (daemon, calls) = (Daemon::start(), Arc::<Mutex<Vec<String>>>::default());
        let manager = Manager { end, calls: Arc::clone(&calls) };
        let systemd = connection::Builder::address(daemon.address.as_str())
            .serve_at("/org/freedesktop/systemd1", manager)
            .serve_at(UNIT_PATH, unit)
            .serve_at(UNIT_PATH, Service(unit.result))
            .name("org.freedesktop.systemd1")
            .build()
            .await
            .unwrap();
        let action = systemd_action(&daemon, UNIT);
        Self { daemon, calls, action, _systemd: systemd }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

fn systemd_action(daemon: &Daemon, unit: &str) -> Box<dyn Action> {
    action("systemd", &[("unit", unit), ("address", &daemon.address)])
}

#[tokio::test]
async fn a_restart_ends_with_its_own_job() {
    let scene = Scene::new(ACTIVE, End::Job("done")).await;
    let seen = scene.action.look(PATIENCE).await.unwrap();
    assert_eq!(seen.condition, Condition::Ours);
    let run = seen.run.unwrap();
    assert_eq!(run.generation, "000102030405060708090a0b0c0d0e0f");
    assert_eq!(run.started_at, 1_795_516_800_123, "the program's start, not its readiness");
    assert_eq!(scene.calls(), ["GetUnit"]);
    assert_eq!(act(&*scene.action).await, Ok(()));
    let expected = ["GetUnit", "Subscribe", "GetUnit", "RestartUnit it.service replace"];
    assert_eq!(scene.calls(), expected);

    for result in ["failed", "timeout", "canceled", "dependency"] {
        let scene = Scene::new(ACTIVE, End::Job(result)).await;
        let expected = Trouble::Failed(format!("unit it.service: its job: {result}"));
        assert_eq!(act(&*scene.action).await, Err(expected));
    }
}

#[tokio::test]
async fn a_unit_that_failed_is_reset_once_and_no_other_is() {
    for (active, result, is_reset) in [
        ("failed", "start-limit-hit", true),
        ("failed", "exit-code", true),
        ("inactive", "start-limit-hit", true),
        ("active", "success", false),
        ("inactive", "success", false),
    ] {
        let unit = Unit { active, sub: "any", result, job: 0 };
        let scene = Scene::new(unit, End::Job("failed")).await;
        assert!(matches!(act(&*scene.action).await, Err(Trouble::Failed(_))));
        let (restart, reset) = ("RestartUnit it.service replace", "ResetFailedUnit it.service");
        let expected = if is_reset { vec![reset, restart] } else { vec![restart] };
        assert_eq!(scene.calls()[2..], expected, "{active} {result}");
    }
}

#[tokio::test]
async fn who_may_not_reset_restarts_all_the_same() {
    let unit = Unit { active: "failed", sub: "failed", result: "exit-code", job: 0 };
    let scene = Scene::new(unit, End::JobWithoutReset("done")).await;
    assert_eq!(act(&*scene.action).await, Ok(()));
}

#[tokio::test]
async fn what_may_not_or_cannot_be_is_told_apart() {
    for (end, is_refused) in [(End::Denied, true), (End::Password, true), (End::Masked, false)] {
        let scene = Scene::new(ACTIVE, end).await;
        match act(&*scene.action).await {
            Err(Trouble::Refused(_)) if is_refused => {}
            Err(Trouble::Failed(_)) if !is_refused => {}
            other => panic!("{end:?}: {other:?}"),
        }
    }
    let scene = Scene::new(ACTIVE, End::Job("done")).await;
    let action = systemd_action(&scene.daemon, "other.service");
    assert!(matches!(action.look(PATIENCE).await, Err(Trouble::Absent(_))));
    assert!(matches!(act(&*action).await, Err(Trouble::Absent(_))));
    assert!(!scene.calls().iter().any(|call| call.starts_with("RestartUnit")), "nothing is loaded");
}

#[tokio::test]
async fn what_systemd_is_at_is_left_to_it() {
    for unit in [
        Unit { active: "deactivating", sub: "stop-sigterm", ..ACTIVE },
        Unit { active: "activating", sub: "auto-restart", result: "exit-code", job: 0 },
        Unit { job: 17, ..ACTIVE },
    ] {
        let scene = Scene::new(unit, End::Never).await;
        let seen = condition(&*scene.action).await;
        assert!(is_supervised(&seen), "{seen:?}");
    }
    let unit = Unit { active: "inactive", sub: "dead", ..ACTIVE };
    let scene = Scene::new(unit, End::Never).await;
    assert_eq!(condition(&*scene.action).await, stopped("inactive"));
}

#[tokio::test]
async fn a_job_that_does_not_end_is_unknown() {
    let scene = Scene::new(ACTIVE, End::Never).await;
    let (deadline, start) = (Duration::from_secs(1), Instant::now());
    let ended = scene.action.act(&order(), deadline).await;
    assert!(start.elapsed() <= deadline, "{:?}", start.elapsed());
    assert!(matches!(ended, Err(Trouble::Unknown(_))), "{ended:?}");
}

#[tokio::test]
async fn a_bus_that_drops_us_in_the_middle_leaves_the_end_unknown() {
    let scene = Scene::new(ACTIVE, End::Never).await;
    let start = Instant::now();
    let drop = async {
        while !scene.calls().iter().any(|call| call.starts_with("RestartUnit")) {
            sleep(Duration::from_millis(5)).await;
        }
        scene.daemon.signal(Signal::KILL);
    };
    let (ended, ()) = tokio::join!(act(&*scene.action), drop);
    assert!(matches!(ended, Err(Trouble::Unknown(_))), "{ended:?}");
    assert!(start.elapsed() < PATIENCE, "it is known at once");
    // And now there is nobody to ask.
    assert!(matches!(act(&*scene.action).await, Err(Trouble::Refused(_))));
    assert!(matches!(scene.action.look(PATIENCE).await, Err(Trouble::Refused(_))));
}

#[tokio::test]
async fn a_bus_that_answers_nobody_was_asked_for_nothing() {
    let scene = Scene::new(ACTIVE, End::Never).await;
    scene.daemon.signal(Signal::STOP);
    let (deadline, start) = (Duration::from_secs(1), Instant::now());
    let ended = scene.action.act(&order(), deadline).await;
    assert!(matches!(ended, Err(Trouble::Refused(_))), "{ended:?}");
    let looked = scene.action.look(deadline).await;
    assert!(matches!(looked, Err(Trouble::Unknown(_))), "{looked:?}");
    assert!(start.elapsed() <= deadline * 2);
    scene.daemon.signal(Signal::CONT);
}

#[tokio::test]
async fn a_bus_without_systemd_refuses() {
    let daemon = Daemon::start();
    let action = systemd_action(&daemon, UNIT);
    let looked = action.look(PATIENCE).await;
    assert!(matches!(looked, Err(Trouble::Refused(_))), "{looked:?}");
    assert!(matches!(act(&*action).await, Err(Trouble::Refused(_))));
}
