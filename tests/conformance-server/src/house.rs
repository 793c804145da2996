//! What all connections share. A stateless request has a handler of its own, so whatever must be
//! found again by the next request lives here.

use std::collections::VecDeque;
use std::sync::Mutex;

use rmcp::task_manager::TaskManager;
use tokio::sync::broadcast;

/// How many states are remembered; the oldest goes first.
const STATES: usize = 1024;

/// What open subscriptions are told.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Tools,
    Prompts,
}

pub(crate) struct House {
    changes: broadcast::Sender<Change>,
    states: Mutex<VecDeque<(String, usize)>>,
    pub(crate) tasks: TaskManager,
}

impl House {
    pub(crate) fn new() -> Self {
        Self {
            changes: broadcast::channel(64).0,
            states: Mutex::default(),
            tasks: TaskManager::new(),
        }
    }

    pub(crate) fn change(&self, change: Change) {
        // Nobody may be listening.
        let _ = self.changes.send(change);
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// A `requestState` that stands for that round. It is a handle and says nothing, so it needs no
    /// signature: one that was tampered with is one that was never given out.
    pub(crate) fn remember(&self, round: usize) -> String {
        let state = format!("{:032x}", fastrand::u128(..));
        let mut states = self.states();
        if states.len() == STATES {
            states.pop_front();
        }
        states.push_back((state.clone(), round));
        state
    }

    /// The round that a `requestState` stands for.
    pub(crate) fn recall(&self, state: &str) -> Option<usize> {
        self.states().iter().find(|(known, _)| known == state).map(|(_, round)| *round)
    }

    fn states(&self) -> std::sync::MutexGuard<'_, VecDeque<(String, usize)>> {
        self.states.lock().expect("nothing panics while it holds the lock")
    }
}
