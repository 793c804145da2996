//! What a call was for, beside that it was made: agents, tokens and 3D generations, by rules of a
//! configuration, for servers that report none themselves.
//!
//! A rule names tools and says where in a result its values stand. Rules are applied by the
//! observer, to its copy, when a call ends. Nothing is guessed: a value that is not there counts
//! nothing.

mod config;
mod place;

use std::path::{Path, PathBuf};

use mcpmon_metrics::event::MAX_COUNT;
use mcpmon_metrics::label::GenerationStatus;
use mcpmon_metrics::{Event, Name, Outcome};

use self::place::{Place, Value};

/// The rules for one server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    agents: Vec<Agent>,
    tokens: Vec<Tokens>,
    generations: Vec<Generation>,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file cannot be read.
    #[error("cannot read --config {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or a key is missing, unknown or of the wrong type.
    #[error("{} is no configuration of the tap", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// Values are wrong: all of them, a line each.
    #[error("{} has {} wrong: {}", path.display(), problems.len(), problems.join("; "))]
    Values {
        /// The file.
        path: PathBuf,
        /// Each names its key, its value and what would be right.
        problems: Vec<String>,
    },
}

/// Which tools a rule is about: names, in which `*` stands for any text.
#[derive(Debug, Clone, PartialEq)]
struct Tools(Vec<String>);

#[derive(Debug, Clone, PartialEq)]
struct Agent {
    tools: Tools,
    agent: Value,
    category: Value,
}

#[derive(Debug, Clone, PartialEq)]
struct Tokens {
    tools: Tools,
    provider: Value,
    model: Value,
    input: Option<Place>,
    output: Option<Place>,
    cache_read: Option<Place>,
    cache_write: Option<Place>,
}

#[derive(Debug, Clone, PartialEq)]
struct Generation {
    tools: Tools,
    /// Without a place, how the call ended says it.
    status: Option<Place>,
    success: Vec<String>,
    failed: Vec<String>,
    pending: Vec<String>,
}

impl Rules {
    /// Whether nothing is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.agents.is_empty() && self.tokens.is_empty() && self.generations.is_empty()
    }

    /// Reads the section `tap` of a configuration.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(path: &Path) -> Result<Self, RulesError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| RulesError::Read { path: path.to_owned(), source })?;
        config::parse(path, &text)
    }

    /// Hands `tell` what the end of a call of `tool` counts. `result` is the JSON of its result,
    /// where it has one.
    pub(crate) fn apply(
        &self,
        tool: &str,
        outcome: Outcome,
        result: Option<&str>,
        mut tell: impl FnMut(Event<'static>),
    ) {
        if let Some(result) = result {
            self.read(tool, outcome, result, &mut tell);
        }
        for rule in self.generations.iter().filter(|rule| rule.tools.include(tool)) {
            rule.event(outcome, result).into_iter().for_each(&mut tell);
        }
    }

    /// What the result counts that comes after the end of its call, which was `counted` without.
    pub(crate) fn apply_late(
        &self,
        tool: &str,
        counted: Outcome,
        outcome: Outcome,
        result: &str,
        mut tell: impl FnMut(Event<'static>),
    ) {
        self.read(tool, outcome, result, &mut tell);
        let waits = |rule: &&Generation| counted == Outcome::Success && rule.status.is_some();
        for rule in self.generations.iter().filter(|rule| rule.tools.include(tool)).filter(waits) {
            rule.event(outcome, Some(result)).into_iter().for_each(&mut tell);
        }
    }

    /// What stands in a result and nowhere else.
    fn read(
        &self,
        tool: &str,
        outcome: Outcome,
        result: &str,
        tell: &mut impl FnMut(Event<'static>),
    ) {
        let succeeded = outcome == Outcome::Success;
        for rule in self.agents.iter().filter(|rule| succeeded && rule.tools.include(tool)) {
            rule.event(result).into_iter().for_each(&mut *tell);
        }
        // A tool that failed may have used tokens, and says so.
        for rule in self.tokens.iter().filter(|rule| rule.tools.include(tool)) {
            rule.event(result).into_iter().for_each(&mut *tell);
        }
    }
}

impl Tools {
    fn include(&self, tool: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, tool))
    }
}

/// Whether `name` is `pattern` with some text for each `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    // Each part at its first place leaves the most to the others.
    for part in middle.split('*') {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(end)
}

impl Agent {
    fn event(&self, result: &str) -> Option<Event<'static>> {
        let (agent, category) = (self.agent.name(result)?, self.category.name(result)?);
        Some(Event::AgentUsage { agent, category, count: 1 })
    }
}

impl Tokens {
    fn event(&self, result: &str) -> Option<Event<'static>> {
        let count = |place: &Option<Place>| {
            let count = place.as_ref().and_then(|place| place.count(result));
            count.map_or(0, |count| count.min(MAX_COUNT))
        };
        let (input, output) = (count(&self.input), count(&self.output));
        let (cache_read, cache_write) = (count(&self.cache_read), count(&self.cache_write));
        if input + output + cache_read + cache_write == 0 {
            return None;
        }
        // Tokens of a model that is not named are tokens nevertheless.
        let name = |value: &Value| value.name(result).unwrap_or_else(Name::other);
        let (provider, model) = (name(&self.provider), name(&self.model));
        Some(Event::LlmTokens { provider, model, input, output, cache_read, cache_write })
    }
}

impl Generation {
    fn event(&self, outcome: Outcome, result: Option<&str>) -> Option<Event<'static>> {
        self.status(outcome, result).map(|status| Event::Generation3d { status, count: 1 })
    }

    fn status(&self, outcome: Outcome, result: Option<&str>) -> Option<GenerationStatus> {
        let by_outcome = match outcome {
            Outcome::Success => GenerationStatus::Success,
            Outcome::Error(..) => GenerationStatus::Failed,
            // Nobody waited for it.
            _ => return None,
        };
        let Some(place) = self.status.as_ref().filter(|_| outcome == Outcome::Success) else {
            return Some(by_outcome);
        };
        let said = place.text(result?)?;
        let lists = [
            (&self.success, GenerationStatus::Success),
            (&self.failed, GenerationStatus::Failed),
            (&self.pending, GenerationStatus::Pending),
        ];
        let is_said = |list: &[String]| list.iter().any(|word| word.eq_ignore_ascii_case(&said));
        lists.into_iter().find(|(list, _)| is_said(list)).map(|(_, status)| status)
    }
}

#[cfg(test)]
mod tests;
