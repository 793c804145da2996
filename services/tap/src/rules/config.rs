//! The section `tap` of a configuration: as it is written, and as rules.

use std::path::Path;

use mcpmon_metrics::Name;
use serde::Deserialize;

use super::place::{Place, Value};
use super::{Agent, Generation, Rules, RulesError, Tokens, Tools};

/// Other sections are other programs'.
#[derive(Debug, Deserialize)]
struct File {
    tap: Section,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    agents: Vec<RawAgent>,
    #[serde(default)]
    tokens: Vec<RawTokens>,
    #[serde(default)]
    generations: Vec<RawGeneration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgent {
    tools: Vec<String>,
    agent: String,
    category: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    tools: Vec<String>,
    provider: String,
    model: String,
    input: Option<String>,
    output: Option<String>,
    cache_read: Option<String>,
    cache_write: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGeneration {
    tools: Vec<String>,
    status: Option<String>,
    success: Option<Vec<String>>,
    failed: Option<Vec<String>>,
    pending: Option<Vec<String>>,
}

/// What is wrong, all of it.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

pub(super) fn parse(path: &Path, text: &str) -> Result<Rules, RulesError> {
    let path = path.to_owned();
    let File { tap } = match toml::from_str(text) {
        Ok(file) => file,
        Err(source) => return Err(RulesError::Syntax { path, source: Box::new(source) }),
    };
    let mut problems = Problems::default();
    let rules = tap.rules(&mut problems);
    match problems.0 {
        problems if problems.is_empty() => Ok(rules),
        problems => Err(RulesError::Values { path, problems }),
    }
}

impl Section {
    fn rules(self, problems: &mut Problems) -> Rules {
        let mut rules = Rules::default();
        for (number, raw) in self.agents.into_iter().enumerate() {
            let key = |name| format!("tap.agents[{number}].{name}");
            let tools = problems.tools(&key("tools"), raw.tools);
            let agent = problems.value(&key("agent"), &raw.agent);
            let category = problems.value(&key("category"), &raw.category);
            if let (Some(agent), Some(category)) = (agent, category) {
                rules.agents.push(Agent { tools, agent, category });
            }
        }
        for (number, raw) in self.tokens.into_iter().enumerate() {
            let key = |name| format!("tap.tokens[{number}].{name}");
            let tools = problems.tools(&key("tools"), raw.tools);
            let provider = problems.value(&key("provider"), &raw.provider);
            let model = problems.value(&key("model"), &raw.model);
            let counts = [&raw.input, &raw.output, &raw.cache_read, &raw.cache_write];
            if counts.iter().all(|count| count.is_none()) {
                let message = "is missing; expected it, `output`, `cache_read` or `cache_write`";
                problems.0.push(format!("{} {message}", key("input")));
            }
            let input = problems.place(&key("input"), raw.input.as_deref());
            let output = problems.place(&key("output"), raw.output.as_deref());
            let cache_read = problems.place(&key("cache_read"), raw.cache_read.as_deref());
            let cache_write = problems.place(&key("cache_write"), raw.cache_write.as_deref());
            if let (Some(provider), Some(model)) = (provider, model) {
                let counts = (input, output, cache_read, cache_write);
                let (input, output, cache_read, cache_write) = counts;
                rules.tokens.push(Tokens {
                    tools,
                    provider,
                    model,
                    input,
                    output,
                    cache_read,
                    cache_write,
                });
            }
        }
        for (number, raw) in self.generations.into_iter().enumerate() {
            let key = |name| format!("tap.generations[{number}].{name}");
            let tools = problems.tools(&key("tools"), raw.tools);
            let words = [&raw.success, &raw.failed, &raw.pending];
            if raw.status.is_none() && words.iter().any(|list| list.is_some()) {
                let message = "is missing; expected the place of what `success`, `failed` and \
                               `pending` are about";
                problems.0.push(format!("{} {message}", key("status")));
            }
            let status = problems.place(&key("status"), raw.status.as_deref());
            let words = |given: Option<Vec<String>>, usual: &[&str]| {
                given.unwrap_or_else(|| usual.iter().map(|word| (*word).to_owned()).collect())
            };
            rules.generations.push(Generation {
                tools,
                status,
                success: words(raw.success, &["success", "succeeded", "completed", "done"]),
                failed: words(raw.failed, &["failed", "failure", "error", "cancelled"]),
                pending: words(raw.pending, &["pending", "queued", "running", "in_progress"]),
            });
        }
        rules
    }
}

impl Problems {
    fn tools(&mut self, key: &str, tools: Vec<String>) -> Tools {
        if tools.is_empty() || tools.iter().any(String::is_empty) {
            let expected = "expected names of tools, in which `*` stands for any text";
            self.0.push(format!("{key} is {tools:?}; {expected}"));
        }
        Tools(tools)
    }

    fn value(&mut self, key: &str, text: &str) -> Option<Value> {
        if let Some(place) = Place::new(text) {
            return Some(Value::At(place));
        }
        match Name::new(text.to_owned()) {
            Ok(name) => Some(Value::Given(name)),
            Err(error) => {
                self.0.push(format!("{key} is {text:?} and {error}, or a place such as /_meta/x"));
                None
            }
        }
    }

    fn place(&mut self, key: &str, text: Option<&str>) -> Option<Place> {
        let text = text?;
        let place = Place::new(text);
        if place.is_none() {
            let expected = "expected a place in the result, such as /_meta/usage/input_tokens";
            self.0.push(format!("{key} is {text:?}; {expected}"));
        }
        place
    }
}
