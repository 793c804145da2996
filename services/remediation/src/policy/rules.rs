//! The rules: those that ship, and the user's own.

use std::collections::BTreeMap;

use mcpmon_bootstrap::Settings;
use mcpmon_bootstrap::settings::Keys;
use mcpmon_coordination::incident::Failure;

use super::{Mode, RULES, Rule, TARGETS, Target, failure_name};
use crate::protected::Protected;

/// A rule that ships. It acts once its target is listed.
struct Shipped {
    name: &'static str,
    component: &'static str,
    failures: &'static [Failure],
    target: &'static str,
}

/// The two of the prototype.
const SHIPPED: [Shipped; 2] = [
    Shipped {
        name: "api",
        component: "api",
        failures: &[Failure::ConnectionRefused],
        target: "devskyy-mcp",
    },
    Shipped {
        name: "metrics_server",
        component: "metrics_server",
        failures: &[
            Failure::ConnectionRefused,
            Failure::Timeout,
            Failure::Http5xx,
            Failure::BadBody,
        ],
        target: "exporter",
    },
];

/// Reads every rule, and refuses what could act on the wrong thing.
pub(super) fn read(
    settings: &mut Settings,
    mode: Option<Mode>,
    targets: &BTreeMap<String, Target>,
    protected: &Protected,
) -> Vec<Rule> {
    let own = settings.tables(RULES);
    let mut rules: Vec<Rule> = Vec::new();
    for name in &own {
        let shipped = SHIPPED.iter().find(|shipped| shipped.name == name);
        let Some(rule) = rule(settings, name, shipped, mode) else { continue };
        judge(settings, &rule, shipped, targets, protected);
        rules.push(rule);
    }
    refuse_two_for_one(settings, &rules);
    for shipped in SHIPPED.iter().filter(|shipped| own.iter().all(|name| name != shipped.name)) {
        let mut rule = shipped.rule(mode);
        // The user's own rule is the better one.
        rule.failures.retain(|failure| {
            !rules
                .iter()
                .any(|own| own.component == rule.component && own.failures.contains(failure))
        });
        if !rule.failures.is_empty() {
            rules.push(rule);
        }
    }
    rules
}

/// Reads the keys of a rule that nobody wrote, for the reference.
pub(super) fn document(settings: &mut Settings) {
    rule(settings, "<name>", None, None);
}

fn rule(
    settings: &mut Settings,
    name: &str,
    shipped: Option<&Shipped>,
    mode: Option<Mode>,
) -> Option<Rule> {
    let default = shipped.map(|shipped| shipped.rule(mode));
    let mut keys = Keys::new(settings, format!("{RULES}.{name}"));
    let component = either(
        &mut keys,
        "component",
        "The component of the monitor that it repairs, by its whole name.",
        default.as_ref().map(|rule| rule.component.clone()),
        component,
    );
    let failures = either(
        &mut keys,
        "failures",
        "The failures that it answers, such as `connection_refused`, `timeout` or `mcp_broken`.",
        default.as_ref().map(|rule| rule.failures.clone()),
        failures,
    );
    let ladder = either(
        &mut keys,
        "ladder",
        "The targets to act on: the first, and the next ones when it did not help.",
        default.as_ref().map(|rule| rule.ladder.clone()),
        |names: Vec<String>| {
            (!names.is_empty())
                .then_some(names)
                .ok_or_else(|| format!("is empty; expected names of `{TARGETS}`"))
        },
    );
    let own = keys.optional(
        "mode",
        "How far it goes: `dry_run`, `approve` or `act`; by default `remediation.mode`.",
    );
    let mode = own.or(default.map(|rule| rule.mode)).or(mode).unwrap_or(Mode::DryRun);
    Some(Rule {
        name: name.to_owned(),
        component: component?,
        failures: failures?,
        ladder: ladder?,
        mode,
    })
}

/// A key that a shipped rule has a default for, and another must have.
fn either<Raw: serde::de::DeserializeOwned, T>(
    keys: &mut Keys<'_>,
    key: &str,
    doc: &str,
    default: Option<T>,
    check: impl Fn(Raw) -> Result<T, String>,
) -> Option<T> {
    if default.is_some() {
        return keys.optional_checked(key, doc, check).or(default);
    }
    keys.required(key, doc, check)
}

fn component(name: String) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(legal) {
        let expected = "expected the whole name of one component; there are no patterns";
        return Err(format!("`{name}` is no name of a component; {expected}"));
    }
    Ok(name)
}

fn failures(names: Vec<String>) -> Result<Vec<Failure>, String> {
    let known = "connection_refused, dns, tls, timeout, http_4xx, http_5xx, bad_body, mcp_broken, \
                 protocol_mismatch, tools_missing, canary_failed, auth_required, rate_limited, other";
    if names.is_empty() {
        return Err(format!("is empty; expected some of {known}"));
    }
    let mut failures = Vec::new();
    for name in names {
        let failure = serde_json::from_value(serde_json::Value::String(name.clone()))
            .map_err(|_| format!("`{name}` is no failure; expected some of {known}"))?;
        if !failures.contains(&failure) {
            failures.push(failure);
        }
    }
    Ok(failures)
}

/// Names what the rule must not touch, or does not find.
fn judge(
    settings: &mut Settings,
    rule: &Rule,
    shipped: Option<&Shipped>,
    targets: &BTreeMap<String, Target>,
    protected: &Protected,
) {
    let key = |key: &str| format!("{RULES}.{}.{key}", rule.name);
    if let Some(word) = protected.in_name(&rule.component) {
        settings.reject(&key("component"), refusal(&rule.component, word));
    }
    for (at, name) in rule.ladder.iter().enumerate() {
        // The target of a shipped rule may be listed one day.
        let may_be_missing = shipped.is_some_and(|shipped| shipped.target == name);
        if !targets.contains_key(name) && !may_be_missing {
            let known: Vec<_> = targets.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            settings.reject(
                &key("ladder"),
                format!("there is no target `{name}`; under `{TARGETS}` there are {known}"),
            );
        }
        if rule.ladder[..at].contains(name) {
            settings.reject(
                &key("ladder"),
                format!("`{name}` stands twice; the last one is repeated by itself until the budget is spent"),
            );
        }
    }
}

/// Why something protected is refused.
pub(super) fn refusal(name: &str, word: &str) -> String {
    format!(
        "`{name}` is protected by the word `{word}`: repairs depend on it themselves; see \
         remediation.protected"
    )
}

fn refuse_two_for_one(settings: &mut Settings, rules: &[Rule]) {
    for (at, rule) in rules.iter().enumerate() {
        for earlier in &rules[..at] {
            let both = rule.failures.iter().find(|failure| earlier.failures.contains(failure));
            if let Some(failure) = both.filter(|_| earlier.component == rule.component) {
                settings.reject(
                    &format!("{RULES}.{}.failures", rule.name),
                    format!(
                        "the rule `{}` answers `{}` of `{}` already; one of the two must go",
                        earlier.name,
                        failure_name(*failure),
                        rule.component
                    ),
                );
            }
        }
    }
}

impl Shipped {
    fn rule(&self, mode: Option<Mode>) -> Rule {
        Rule {
            name: self.name.to_owned(),
            component: self.component.to_owned(),
            failures: self.failures.to_vec(),
            ladder: vec![self.target.to_owned()],
            mode: mode.unwrap_or(Mode::Act),
        }
    }
}
