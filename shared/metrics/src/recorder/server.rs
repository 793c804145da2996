//! One admitted MCP server: its tools, and what is counted per server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::Families;
use super::families::Operation;
use super::names::Names;
use super::tool::Tool;
use crate::label::{
    AuthFailure, Bounded, GenerationStatus, Label, Method, SecurityEvent, Transport,
};
use crate::name::OTHER;
use crate::telemetry::Count;

/// The `tool_name` of an error or a rate limit that belongs to no tool.
pub const NO_TOOL: &str = "_none";

/// Whether a name may get a series on first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The server's own program or its listing gave the name.
    Trusted,
    /// A caller gave the name, and nothing has shown that such a tool exists.
    Unproven,
}

#[derive(Debug)]
pub(super) struct Server {
    label: Arc<str>,
    tools: Names<Tool>,
    admission: Mutex<()>,
    tools_budget: usize,
    listed: AtomicBool,
    other: Tool,
    none: Tool,
    duplicates: Count,
    dropped: Count,
    auth_failures: [OnceLock<Count>; AuthFailure::ALL.len()],
    generations: [OnceLock<Count>; GenerationStatus::ALL.len()],
    security_events: [OnceLock<Count>; SecurityEvent::ALL.len()],
}

impl Server {
    pub(super) fn new(families: &Families, label: Arc<str>, tools_budget: usize) -> Self {
        Self {
            tools: Names::new(tools_budget),
            admission: Mutex::default(),
            tools_budget,
            listed: AtomicBool::new(false),
            other: Tool::new(label.clone(), OTHER.into()),
            none: Tool::new(label.clone(), NO_TOOL.into()),
            duplicates: families.duplicates.bind(&[&label]),
            dropped: families.dropped.bind(&[&label]),
            auth_failures: Default::default(),
            generations: Default::default(),
            security_events: Default::default(),
            label,
        }
    }

    pub(super) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Uses the tool of that name, or `_other` when the name is not admitted.
    pub(super) fn with_tool<R>(
        &self,
        families: &Families,
        name: &str,
        trust: Trust,
        act: impl FnOnce(&Tool) -> R,
    ) -> R {
        if let Some(tool) = self.tools.get(name) {
            return act(tool);
        }
        if name == OTHER {
            return act(&self.other);
        }
        // A full table is settled without a lock: this is where invented names end up.
        let full = self.tools.len() >= self.tools_budget || families.tool_pairs.is_spent();
        let tool = if full || trust == Trust::Unproven { None } else { self.admit(families, name) };
        match tool {
            Some(tool) => act(tool),
            None => {
                families.overflow(Bounded::ToolName);
                act(&self.other)
            }
        }
    }

    /// Uses the tool of that name, or the stand-in for no tool.
    pub(super) fn with_optional_tool(
        &self,
        families: &Families,
        name: Option<&str>,
        trust: Trust,
        act: impl FnOnce(&Tool),
    ) {
        match name {
            Some(name) => self.with_tool(families, name, trust, act),
            None => act(&self.none),
        }
    }

    fn admit(&self, families: &Families, name: &str) -> Option<&Tool> {
        let _admission = self.admission.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tool) = self.tools.get(name) {
            return Some(tool);
        }
        if self.tools.len() >= self.tools_budget || !families.tool_pairs.take() {
            return None;
        }
        let label: Arc<str> = name.into();
        let tool = Tool::new(self.label.clone(), label.clone());
        tool.expose(families);
        Some(self.tools.add(label, tool))
    }

    /// Admits listed names. After a complete listing, a name that it lacks is an invented one.
    pub(super) fn list<'n>(
        &self,
        families: &Families,
        names: impl Iterator<Item = &'n str>,
        complete: bool,
    ) {
        for name in names {
            self.with_tool(families, name, Trust::Trusted, |_| ());
        }
        if complete {
            self.listed.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    /// The label of a tool as it is now: its name, or `_other` while it is not admitted.
    pub(super) fn tool_label(&self, name: &str) -> Arc<str> {
        self.tools.get(name).unwrap_or(&self.other).label().clone()
    }

    pub(super) fn dropped(&self, count: u64) {
        self.dropped.add(count);
    }

    pub(super) fn duplicates(&self, count: u64) {
        self.duplicates.add(count);
    }

    pub(super) fn auth_failure(&self, families: &Families, reason: AuthFailure, count: u64) {
        self.auth_failures[reason as usize]
            .get_or_init(|| families.auth_failures.bind(&[reason.as_str(), &self.label]))
            .add(count);
    }

    pub(super) fn generation(&self, families: &Families, status: GenerationStatus, count: u64) {
        self.generations[status as usize]
            .get_or_init(|| families.generations.bind(&[&self.label, status.as_str()]))
            .add(count);
    }

    pub(super) fn security_event(&self, families: &Families, event: SecurityEvent, count: u64) {
        self.security_events[event as usize]
            .get_or_init(|| families.security_events.bind(&[event.as_str(), &self.label]))
            .add(count);
    }

    /// The operation's labels, without the tool and the revision.
    pub(super) fn labels(
        &self,
        method: Method,
        error_type: Option<&'static str>,
        transport: Option<Transport>,
    ) -> Operation {
        Operation {
            error_type: error_type.unwrap_or_default(),
            tool: Arc::default(),
            method: method.as_str(),
            protocol: "",
            network: transport.map_or("", Transport::network),
            server: self.label.clone(),
        }
    }
}
