//! A stand-in for a Docker engine: the two requests that remediation sends, over TCP, with containers
//! that are real child processes. It keeps a log of every restart, and does as the test wants: hangs,
//! lies, is slow. The real engine is covered by `tests/actions` and the stack.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mcpmon_testkit::http_script::{Answer, Gate, HttpScript, Request};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::Instant;

use super::PATIENCE;

/// Starts what is in the container, after so much time.
pub(crate) type Start = Box<dyn Fn(Duration) -> Option<Child> + Send>;

/// What a restart comes to.
#[derive(Debug, Clone)]
pub(crate) enum Restart {
    Works,
    /// 204, and nothing was done.
    Lies,
    /// It starts anew and ends at once.
    Dies,
    /// The program inside takes that long to answer.
    Slow(Duration),
    /// It is done, and is answered when the gate opens.
    AnsweredLate(Gate),
    /// It is done and answered when the gate opens.
    DoneLate(Gate),
    /// 500 with these words.
    Fails(&'static str),
}

/// One restart that was asked for over the API.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    pub(crate) container: String,
    pub(crate) began: Instant,
    /// None as long as it was not answered.
    pub(crate) ended: Option<Instant>,
    /// The run that it ended.
    pub(crate) generation: String,
}

pub(crate) struct Docker {
    server: HttpScript,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    containers: BTreeMap<String, Container>,
    acts: Vec<Act>,
    /// The names that were looked at.
    looks: Vec<String>,
}

struct Container {
    start: Start,
    child: Option<Child>,
    started_at: SystemTime,
    restart: Restart,
    /// What is said of its state, whatever it is.
    pretends: Option<&'static str>,
    /// The look after so many others waits for the gate.
    held: Option<(usize, Gate)>,
}

impl fmt::Debug for Docker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Docker").finish_non_exhaustive()
    }
}

impl Docker {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let engine = shared.clone();
        Self { server: HttpScript::start(move |request| engine.answer(request)), shared }
    }

    /// The key `engine`.
    pub(crate) fn address(&self) -> String {
        format!("tcp://{}", self.server.addr())
    }

    /// Creates a container and starts it.
    pub(crate) fn run(&self, name: &str, start: Start) {
        let child = start(Duration::ZERO);
        let container = Container {
            start,
            child,
            started_at: SystemTime::now(),
            restart: Restart::Works,
            pretends: None,
            held: None,
        };
        self.shared.lock().containers.insert(name.to_owned(), container);
    }

    /// What restarts come to from now on.
    pub(crate) fn on_restart(&self, name: &str, restart: Restart) {
        self.change(name, |container| container.restart = restart);
    }

    /// Its state is said to be this.
    pub(crate) fn pretend(&self, name: &str, status: Option<&'static str>) {
        self.change(name, |container| container.pretends = status);
    }

    /// The look after the next `after` looks is answered when the gate opens.
    pub(crate) fn hold_look(&self, name: &str, after: usize) -> Gate {
        let gate = Gate::default();
        self.change(name, |container| container.held = Some((after, gate.clone())));
        gate
    }

    /// `kill -9` of the program inside.
    pub(crate) fn crash(&self, name: &str) {
        self.change(name, |container| {
            if let Some(child) = &mut container.child {
                child.kill().unwrap();
                child.wait().unwrap();
            }
        });
    }

    /// The program inside takes connections and answers nobody.
    pub(crate) fn hang(&self, name: &str) {
        self.change(name, |container| {
            let child = container.child.as_ref().unwrap();
            kill_process(Pid::from_child(child), Signal::STOP).unwrap();
        });
    }

    /// Somebody else starts it anew; it is well, or ends at once.
    pub(crate) fn somebody_restarts(&self, name: &str, well: bool) {
        self.change(name, |container| if well { container.begin() } else { container.die() });
    }

    /// It is there no more.
    pub(crate) fn remove(&self, name: &str) {
        self.shared.lock().containers.remove(name);
    }

    /// Every restart that was asked for.
    pub(crate) fn acts(&self) -> Vec<Act> {
        self.shared.lock().acts.clone()
    }

    /// How often the container was to be restarted.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.acts().iter().filter(|act| act.container == name).count()
    }

    /// Waits for so many restarts.
    #[track_caller]
    pub(crate) fn wait_acts(&self, acts: usize) {
        self.wait(&format!("{acts} restarts"), |state| state.acts.len() >= acts);
    }

    /// Waits until the container was looked at that often.
    #[track_caller]
    pub(crate) fn wait_looks(&self, name: &str, looks: usize) {
        self.wait(&format!("{looks} looks at {name}"), |state| {
            state.looks.iter().filter(|it| *it == name).count() >= looks
        });
    }

    #[track_caller]
    fn wait(&self, what: &str, enough: impl Fn(&State) -> bool) {
        let state = self.shared.lock();
        let waited =
            self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !enough(state));
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "not within {PATIENCE:?}: {what}, but {:?}", state.acts);
    }

    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Container) -> T) -> T {
        change(self.shared.lock().containers.get_mut(name).unwrap())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        for container in self.shared.lock().containers.values_mut() {
            container.stop();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request) -> Answer {
        let path = request.path.split('?').next().unwrap_or_default();
        let rest = path.strip_prefix("/v1.41/containers/").unwrap_or_default();
        match (request.method.as_str(), rest.split_once('/')) {
            ("GET", Some((name, "json"))) => self.look(name),
            ("POST", Some((name, "restart"))) => self.restart(name),
            _ => message(405, "no such request"),
        }
    }

    fn look(&self, name: &str) -> Answer {
        let mut state = self.lock();
        state.looks.push(name.to_owned());
        self.changed.notify_all();
        let Some(container) = state.containers.get_mut(name) else { return absent(name) };
        let gate = match &mut container.held {
            Some((0, gate)) => {
                let gate = gate.clone();
                container.held = None;
                Some(gate)
            }
            Some((after, _)) => {
                *after -= 1;
                None
            }
            None => None,
        };
        // What it says is what is so when it says it.
        if let Some(gate) = gate {
            drop(state);
            gate.wait();
            state = self.lock();
        }
        let Some(container) = state.containers.get_mut(name) else { return absent(name) };
        let (status, code) = container.status();
        let body = json!({
            "Id": "4f5e", "Name": format!("/{name}"), "RestartCount": 0,
            "State": {
                "Status": status, "Running": status == "running",
                "Restarting": status == "restarting", "Paused": false, "ExitCode": code,
                "StartedAt": container.generation(),
            },
        });
        Answer::status(200, body.to_string()).with_header("content-type", "application/json")
    }

    fn restart(&self, name: &str) -> Answer {
        let mut state = self.lock();
        let Some(container) = state.containers.get_mut(name) else { return absent(name) };
        let restart = container.restart.clone();
        let act = Act {
            container: name.to_owned(),
            began: Instant::now(),
            ended: None,
            generation: container.generation(),
        };
        let mut late = None;
        match &restart {
            Restart::Works => container.begin(),
            Restart::Dies => container.die(),
            Restart::Slow(time) => container.begin_slowly(*time),
            Restart::AnsweredLate(gate) => {
                container.begin();
                late = Some(gate);
            }
            Restart::DoneLate(gate) => late = Some(gate),
            Restart::Lies | Restart::Fails(_) => {}
        }
        let number = state.acts.len();
        state.acts.push(act);
        self.changed.notify_all();
        if let Some(gate) = late {
            drop(state);
            gate.wait();
            state = self.lock();
        }
        if let (Restart::DoneLate(_), Some(container)) = (&restart, state.containers.get_mut(name))
        {
            container.begin();
        }
        state.acts[number].ended = Some(Instant::now());
        self.changed.notify_all();
        match restart {
            Restart::Fails(words) => message(500, words),
            _ => Answer::status(204, ""),
        }
    }
}

fn absent(name: &str) -> Answer {
    message(404, &format!("No such container: {name}"))
}

fn message(status: u16, text: &str) -> Answer {
    Answer::status(status, json!({ "message": text }).to_string())
        .with_header("content-type", "application/json")
}

impl Container {
    fn generation(&self) -> String {
        humantime::format_rfc3339_nanos(self.started_at).to_string()
    }

    fn status(&mut self) -> (&'static str, i32) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
        let code =
            ended.map_or(0, |it| it.code().unwrap_or_else(|| 128 + it.signal().unwrap_or(0)));
        let seen = if ended.is_some() { "exited" } else { "running" };
        (self.pretends.unwrap_or(seen), code)
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn begin(&mut self) {
        self.stop();
        self.started_at = SystemTime::now();
        self.child = (self.start)(Duration::ZERO);
    }

    fn die(&mut self) {
        self.stop();
        self.started_at = SystemTime::now();
        self.child = Some(shell("exit 1"));
    }

    /// As [`Self::begin`], but the program inside takes its time.
    fn begin_slowly(&mut self, time: Duration) {
        self.stop();
        self.started_at = SystemTime::now();
        self.child = (self.start)(time);
    }
}

pub(crate) fn shell(line: &str) -> Child {
    Command::new("sh").args(["-c", line]).stdin(Stdio::null()).spawn().unwrap()
}
