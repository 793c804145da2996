//! A component that answers as the test wants at the moment.

use std::sync::{Arc, Mutex};

use mcpmon_testkit::http_script::{Answer, Gate, HttpScript};

use super::PATIENCE;

/// How it answers.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    Ok,
    Down,
    /// Answers 200 once the gate opens.
    Held(Gate),
    /// `Ok` for `.0` checks, then `Down` for as many, and so on.
    Flapping(usize),
}

/// An HTTP server on a port of its own.
#[derive(Debug)]
pub(crate) struct Target {
    server: HttpScript,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    way: Way,
    /// Requests since the way was set.
    since: usize,
    failures: usize,
}

impl Target {
    /// One that answers well.
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State { way: Way::Ok, since: 0, failures: 0 }));
        let shared = state.clone();
        let server = HttpScript::start(move |_| {
            let mut state = shared.lock().unwrap();
            state.since += 1;
            let is_down = match state.way {
                Way::Ok | Way::Held(_) => false,
                Way::Down => true,
                Way::Flapping(period) => (state.since - 1) / period % 2 == 1,
            };
            state.failures += usize::from(is_down);
            let answer = Answer::status(if is_down { 503 } else { 200 }, "OK");
            match &state.way {
                Way::Held(gate) => answer.after(gate),
                _ => answer,
            }
        });
        Self { server, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/health", self.server.url())
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.addr().port()
    }

    /// From now on.
    pub(crate) fn set(&self, way: Way) {
        let mut state = self.state.lock().unwrap();
        (state.way, state.since) = (way, 0);
    }

    /// How often it was asked.
    pub(crate) fn checks(&self) -> usize {
        self.server.requests().len()
    }

    /// How often it answered that it is down.
    pub(crate) fn failures(&self) -> usize {
        self.state.lock().unwrap().failures
    }

    /// Waits until it was asked that many times more.
    #[track_caller]
    pub(crate) fn rounds(&self, more: usize) {
        let enough = self.checks() + more;
        self.server.wait_within(PATIENCE, |requests| requests.len() >= enough);
    }
}
