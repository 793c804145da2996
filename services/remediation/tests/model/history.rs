//! What was done to the targets, and when.

use std::sync::Arc;

use mcp_remediation::action::Order;

use crate::world::{Part, World};

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) acts: Vec<Done>,
    /// Which circuits a person closed, and when.
    pub(crate) closed: Vec<(String, u64)>,
}

impl History {
    pub(crate) fn closed(&mut self, component: &str, at: u64) {
        self.closed.push((component.to_owned(), at));
    }
}

/// One call of a target's action.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub(crate) component: String,
    pub(crate) attempt: String,
    pub(crate) incident: String,
    pub(crate) fencing: u64,
    pub(crate) began: u64,
    /// Also when its replica died meanwhile; none while it runs.
    pub(crate) ended: Option<u64>,
    /// The target's own start, and whether it was to be left alone.
    pub(crate) started_at: u64,
    pub(crate) was_paused: bool,
    pub(crate) was_stopped: bool,
}

/// A call that is under way; it ends with the value.
pub(crate) struct Act {
    world: Arc<World>,
    place: usize,
}

impl Act {
    pub(crate) fn begin(world: &Arc<World>, order: &Order, part: &Part) -> Self {
        let now = world.now();
        let mut history = world.history();
        let place = history.acts.len();
        history.acts.push(Done {
            component: order.component.clone(),
            attempt: order.attempt.clone(),
            incident: order.incident.clone(),
            fencing: order.fencing,
            began: now,
            ended: None,
            started_at: part.started_at,
            was_paused: part.paused_until > now,
            was_stopped: part.stopped,
        });
        drop(history);
        Self { world: world.clone(), place }
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        let now = self.world.now();
        self.world.history().acts[self.place].ended = Some(now);
    }
}
