//! What is expected of calls: the limits of the verdict, and who has limits of its own.
//!
//! A renderer or a language model is slow by nature, and would keep the overall status yellow for
//! ever. `p95_green_seconds` and `error_ratio_green` mean what `objective_p95` and
//! `objective_ratio` mean in `prometheus/rules/objectives.yml`; the yellow limits are the
//! verdict's alone.

use mcpmon_bootstrap::Settings;
use serde::{Deserialize, Serialize};

const KEY: &str = "health_monitor.objectives";
const DOC: &str = "Limits of their own for some servers or tools, a list of tables; the first \
    that matches wins. `server` is a name, `tool` a pattern in which `*` stands for any text; \
    error_ratio_green (0.01), error_ratio_yellow (0.05), p95_green_seconds (1) and \
    p95_yellow_seconds (5) are what the figures must stay under. By default work that a model or a \
    renderer does may take longer, as in prometheus/rules/objectives.yml.";

/// The limits of everything that has none of its own.
const DEFAULT: Limits = Limits {
    error_ratio: Limit { green: 0.01, yellow: 0.05 },
    p95_seconds: Limit { green: 1.0, yellow: 5.0 },
};

/// Whose figures are judged by which limits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objectives {
    entries: Vec<Objective>,
}

/// What the figures of a server or a tool must stay under.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The share of calls that fail.
    pub error_ratio: Limit,
    pub p95_seconds: Limit,
}

/// A figure below `green` is green, one below `yellow` yellow, any other red.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    pub green: f64,
    pub yellow: f64,
}

#[derive(Debug, Clone, PartialEq)]
struct Objective {
    server: Option<String>,
    tool: Option<String>,
    limits: Limits,
}

/// One table of the configuration.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_ratio_green: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_ratio_yellow: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_green_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_yellow_seconds: Option<f64>,
}

impl Objectives {
    /// Reads `health_monitor.objectives`.
    pub fn read(settings: &mut Settings) -> Self {
        let tables = settings.value(KEY, Raw::shipped(), DOC);
        let mut entries = Vec::new();
        for (place, table) in tables.into_iter().enumerate() {
            match table.check() {
                Ok(objective) => entries.push(objective),
                Err(problems) => {
                    for problem in problems {
                        settings.reject(KEY, format!("table {}: {problem}", place + 1));
                    }
                }
            }
        }
        Self { entries }
    }

    /// The limits of a server's figures over all its tools.
    #[must_use]
    pub fn of_server(&self, server: &str) -> Limits {
        let found = self.entries.iter().find(|o| o.tool.is_none() && o.is_of(server));
        found.map_or(DEFAULT, |objective| objective.limits)
    }

    /// The limits of one tool.
    #[must_use]
    pub fn of_tool(&self, server: &str, tool: &str) -> Limits {
        self.first(server, tool).map_or(DEFAULT, |objective| objective.limits)
    }

    /// Whether the tool is judged by other limits than its server.
    #[must_use]
    pub fn singles_out(&self, server: &str, tool: &str) -> bool {
        self.first(server, tool).is_some_and(|objective| objective.tool.is_some())
    }

    fn first(&self, server: &str, tool: &str) -> Option<&Objective> {
        self.entries.iter().find(|objective| {
            let pattern = objective.tool.as_deref();
            objective.is_of(server) && pattern.is_none_or(|pattern| matches(pattern, tool))
        })
    }
}

impl Objective {
    fn is_of(&self, server: &str) -> bool {
        self.server.as_deref().is_none_or(|own| own == server)
    }
}

impl Raw {
    /// The tools that the shipped rules give objectives of their own.
    fn shipped() -> Vec<Self> {
        let slow = |tool: &str| Self {
            server: None,
            tool: Some(tool.to_owned()),
            error_ratio_green: None,
            error_ratio_yellow: None,
            p95_green_seconds: Some(30.0),
            p95_yellow_seconds: Some(120.0),
        };
        let far = |tool| Self {
            error_ratio_green: Some(0.05),
            error_ratio_yellow: Some(0.25),
            ..slow(tool)
        };
        vec![far("generate_3d*"), slow("generate_*"), slow("plan_*"), slow("run_*")]
    }

    fn check(self) -> Result<Objective, Vec<String>> {
        let mut problems = Vec::new();
        let mut limit = |keys: [&str; 2], values: [Option<f64>; 2], default: Limit, most: f64| {
            let green = values[0].unwrap_or(default.green);
            let yellow = values[1].unwrap_or(default.yellow);
            let mut in_range = true;
            for (key, value) in [(keys[0], green), (keys[1], yellow)] {
                if !(value > 0.0 && value <= most) {
                    in_range = false;
                    problems.push(format!(
                        "{key} = {value}: expected a number above 0, and not above {most}"
                    ));
                }
            }
            if in_range && green > yellow {
                let [green_key, yellow_key] = keys;
                let origin = if values[1].is_none() { ", its default" } else { "" };
                problems.push(format!(
                    "{green_key} = {green} is above {yellow_key} = {yellow}{origin}; expected \
                     {green_key} <= {yellow_key}"
                ));
            }
            Limit { green, yellow }
        };
        let error_ratio = limit(
            ["error_ratio_green", "error_ratio_yellow"],
            [self.error_ratio_green, self.error_ratio_yellow],
            DEFAULT.error_ratio,
            1.0,
        );
        let p95_seconds = limit(
            ["p95_green_seconds", "p95_yellow_seconds"],
            [self.p95_green_seconds, self.p95_yellow_seconds],
            DEFAULT.p95_seconds,
            86_400.0,
        );
        let limits = Limits { error_ratio, p95_seconds };
        if self.server.is_none() && self.tool.is_none() {
            problems
                .push("expected `server`, `tool` or both, to say whose limits these are".into());
        }
        if self.server.as_deref().is_some_and(|name| name.trim().is_empty() || name.contains('*')) {
            problems.push("server: expected the whole name of one server, without `*`".into());
        }
        if let Some(pattern) = &self.tool
            && (pattern.trim().is_empty() || pattern.contains(['?', '[', '{', '|', '(', '^', '$']))
        {
            problems.push(format!(
                "tool = {pattern:?}: expected a name in which only `*` stands for other text, \
                 such as `generate_*`; write one table for each pattern"
            ));
        }
        if limits == DEFAULT && !self.has_limits() {
            problems.push(
                "sets no limit; expected one of error_ratio_green, error_ratio_yellow, \
                p95_green_seconds and p95_yellow_seconds"
                    .into(),
            );
        }
        if problems.is_empty() {
            Ok(Objective { server: self.server, tool: self.tool, limits })
        } else {
            Err(problems)
        }
    }

    fn has_limits(&self) -> bool {
        let ratios = [self.error_ratio_green, self.error_ratio_yellow];
        let seconds = [self.p95_green_seconds, self.p95_yellow_seconds];
        ratios.iter().chain(&seconds).any(Option::is_some)
    }
}

/// Whether `name` is as `pattern` says, where `*` stands for any text, the empty one too.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // The leftmost place is as good as any for a part between two stars.
    for part in parts {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
impl Objectives {
    /// The objectives of a TOML file; every problem of it otherwise.
    pub(crate) fn from_toml(text: &str) -> Result<Self, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let sources = mcpmon_bootstrap::Sources {
            file: Some(file.path().to_owned()),
            ..mcpmon_bootstrap::Sources::default()
        };
        let mut settings = Settings::load(sources).map_err(|e| e.to_string())?;
        let objectives = Self::read(&mut settings);
        let shown = file.path().display().to_string();
        settings.finish().map_err(|errors| errors.to_string().replace(&shown, "FILE"))?;
        Ok(objectives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "ba", false),
            ("*", "", true),
            ("*", "anything", true),
            ("generate_*", "generate_3d", true),
            ("generate_*", "generate_", true),
            ("generate_*", "regenerate_x", false),
            ("*_3d", "generate_3d", true),
            ("*_3d", "generate_3d_x", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**c", "ac", true),
            ("*b*b*", "ab", false),
            ("ä*ö", "äxö", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_table_that_matches_wins() {
        let objectives = Objectives::from_toml(
            r#"
            [[health_monitor.objectives]]
            server = "studio"
            tool = "generate_3d*"
            p95_green_seconds = 30
            p95_yellow_seconds = 120

            [[health_monitor.objectives]]
            tool = "generate_*"
            p95_green_seconds = 2

            [[health_monitor.objectives]]
            server = "studio"
            error_ratio_green = 0.02
            "#,
        )
        .unwrap();
        let p95 = |server, tool| objectives.of_tool(server, tool).p95_seconds;
        assert_eq!(p95("studio", "generate_3d_model"), Limit { green: 30.0, yellow: 120.0 });
        assert_eq!(p95("other", "generate_3d_model"), Limit { green: 2.0, yellow: 5.0 });
        assert_eq!(p95("studio", "generate_text"), Limit { green: 2.0, yellow: 5.0 });
        assert_eq!(objectives.of_tool("studio", "list").error_ratio.green, 0.02);
        assert_eq!(objectives.of_server("studio").error_ratio.green, 0.02);
        assert_eq!(objectives.of_tool("other", "list"), DEFAULT);
        assert_eq!(objectives.of_server("other"), DEFAULT);
        assert!(objectives.singles_out("other", "generate_text"));
        assert!(!objectives.singles_out("studio", "list"));
    }

    #[test]
    fn without_a_table_the_defaults_hold() {
        let objectives = Objectives::from_toml("").unwrap();
        let limits = |tool| objectives.of_tool("shop", tool);
        assert_eq!(objectives.of_server("shop"), DEFAULT);
        assert_eq!(limits("search"), DEFAULT);
        // Those of prometheus/rules/objectives.yml.
        assert_eq!(limits("generate_theme").p95_seconds.green, 30.0);
        assert_eq!(limits("generate_theme").error_ratio, DEFAULT.error_ratio);
        assert_eq!(limits("generate_3d_from_text").error_ratio.green, 0.05);
        assert_eq!(objectives.of_server("a"), DEFAULT);
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let bad = Objectives::from_toml(
            r#"
            [[health_monitor.objectives]]
            p95_green_seconds = 30
            [[health_monitor.objectives]]
            server = "shop*"
            tool = "generate_(a|b)"
            error_ratio_green = 1.5
            p95_yellow_seconds = 0
            [[health_monitor.objectives]]
            server = "shop"
            error_ratio_green = 0.2
            error_ratio_yellow = 0.1
            [[health_monitor.objectives]]
            server = "shop"
            "#,
        );
        insta::assert_snapshot!(bad.unwrap_err());
    }

    #[test]
    fn an_unknown_limit_is_named() {
        let bad = Objectives::from_toml("health_monitor.objectives = [{ tool = \"a\", p95 = 3 }]");
        insta::assert_snapshot!(bad.unwrap_err());
    }
}
