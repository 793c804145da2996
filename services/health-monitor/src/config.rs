//! What the monitor is told: keys, defaults and rules.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_bootstrap::Settings;
use mcpmon_bootstrap::http::{Listen, Scope};
use mcpmon_bootstrap::settings::within;
use mcpmon_coordination::Coordination;

use crate::component::Component;
use crate::heartbeat::HeartbeatConfig;
use crate::objectives::Objectives;
use crate::probe::{KINDS, Keys, Kind, kind};
use crate::slack::SlackConfig;

/// The table whose tables are the components.
pub const COMPONENTS: &str = "health_monitor.components";

const SCOPES: &[Scope] = &[Scope::Read, Scope::Operate];
/// The bound of the metric catalogue.
const MOST_COMPONENTS: usize = 1_000;
const LONGEST_NAME: usize = 64;

/// Everything the monitor needs to know.
#[derive(Debug)]
pub struct Config {
    pub listen: Listen,
    pub coordination: Coordination,
    pub slack: SlackConfig,
    pub heartbeat: HeartbeatConfig,
    pub shutdown_grace: Duration,
    pub watch: Watch,
}

/// What a reload may change.
#[derive(Debug, Clone)]
pub struct Watch {
    pub components: Vec<Component>,
    pub objectives: Objectives,
    /// How many checks may run at once.
    pub at_once: usize,
}

/// What a component gets that does not say it itself.
#[derive(Debug, Clone, Copy)]
struct Defaults {
    interval: Duration,
    recheck: Duration,
    deadline: Duration,
    slow: Duration,
}

impl Config {
    /// Reads every key. What is wrong is noted in `settings`, whose `finish` tells.
    pub fn read(settings: &mut Settings) -> Self {
        let s = settings;
        // Where the exporter finds the monitor: in a file that both read.
        for key in ["url", "token", "token_file"] {
            s.foreign(&format!("health_monitor.{key}"));
        }
        Self {
            listen: Listen::from_settings(s, "health_monitor", 9095, SCOPES),
            coordination: Coordination::read(s),
            slack: SlackConfig::read(s),
            heartbeat: HeartbeatConfig::read(s),
            shutdown_grace: s.seconds(
                "health_monitor.shutdown_grace_seconds",
                Duration::from_secs(10),
                Duration::ZERO..=Duration::from_secs(300),
                "How long checks and requests may take to end at shutdown.",
            ),
            watch: Watch::read(s),
        }
    }

    /// Reads every key of every kind, for the reference; the user's own names stand in `<…>`.
    pub fn document(settings: &mut Settings) {
        Self::read(settings);
        let table = format!("{COMPONENTS}.<name>");
        let defaults = Defaults::read(settings);
        common(&mut Keys::new(settings, table), "<name>", defaults);
        for kind in KINDS {
            (kind.read)(&mut Keys::new(settings, format!("{COMPONENTS}.<{}>", kind.name)));
        }
    }
}

impl Watch {
    /// Reads the keys that a reload may change.
    pub fn read(settings: &mut Settings) -> Self {
        let s = settings;
        let at_once = s.checked(
            "health_monitor.checks_at_once",
            256_usize,
            "How many checks may run at the same time.",
            within(1..=10_000),
        );
        let objectives = Objectives::read(s);
        let defaults = Defaults::read(s);
        Self { components: components(s, defaults), objectives, at_once }
    }
}

impl Defaults {
    fn read(s: &mut Settings) -> Self {
        Self {
            interval: s.seconds(
                "health_monitor.interval_seconds",
                Duration::from_secs(300),
                Duration::from_millis(500)..=Duration::from_secs(24 * 3600),
                "How often each component is checked.",
            ),
            recheck: s.seconds(
                "health_monitor.recheck_seconds",
                Duration::from_secs(30),
                Duration::from_millis(100)..=Duration::from_secs(3600),
                "How soon a failure, and then a recovery, is confirmed by another check.",
            ),
            deadline: s.seconds(
                "health_monitor.timeout_seconds",
                Duration::from_secs(5),
                Duration::from_millis(50)..=Duration::from_secs(600),
                "A component that takes longer to answer has failed the check.",
            ),
            slow: s.seconds(
                "health_monitor.slow_seconds",
                Duration::from_secs(1),
                Duration::from_millis(1)..=Duration::from_secs(600),
                "A component that takes longer to answer is degraded.",
            ),
        }
    }
}

fn components(settings: &mut Settings, defaults: Defaults) -> Vec<Component> {
    let names = settings.tables(COMPONENTS);
    if names.len() > MOST_COMPONENTS {
        let problem = format!("has {} components; at most {MOST_COMPONENTS}", names.len());
        settings.reject(COMPONENTS, problem);
    }
    let components: Vec<_> =
        names.iter().filter_map(|name| component(settings, name, defaults)).collect();
    for component in &components {
        for needed in &component.depends_on {
            let key = format!("{COMPONENTS}.{}.depends_on", component.name);
            if *needed == component.name {
                settings.reject(&key, "it cannot depend on itself");
            } else if !names.contains(needed) {
                let known = names.join(", ");
                settings
                    .reject(&key, format!("there is no component `{needed}`; there are {known}"));
            }
        }
    }
    if let Some(name) = in_a_circle(&components) {
        let key = format!("{COMPONENTS}.{name}.depends_on");
        settings.reject(&key, "the components depend on each other in a circle");
    }
    components
}

fn component(settings: &mut Settings, name: &str, defaults: Defaults) -> Option<Component> {
    let table = format!("{COMPONENTS}.{name}");
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.len() > LONGEST_NAME || !name.chars().all(legal) || name.starts_with('_') {
        let expected =
            "expected a name of up to 64 letters, digits, `_` and `-`, not with `_` first";
        settings.reject(&table, format!("`{name}` is no name of a component; {expected}"));
        // What stands below is not judged, or each key of it would be called unknown.
        settings.foreign(&table);
        return None;
    }
    let mut keys = Keys::new(settings, table.clone());
    let (kind, shared) = common(&mut keys, name, defaults);
    let Some(kind) = kind else {
        settings.foreign(&table);
        return None;
    };
    let probe = (kind.read)(&mut keys)?;
    let server = (kind.name == "mcp").then(|| shared.server.unwrap_or_else(|| name.to_owned()));
    Some(Component {
        name: name.to_owned(),
        kind: kind.name,
        server,
        depends_on: shared.depends_on,
        group: shared.group,
        interval: shared.interval,
        recheck: defaults.recheck.min(shared.interval),
        deadline: shared.deadline,
        slow: shared.slow,
        probe: Arc::from(probe),
    })
}

/// The keys that every component has.
struct Shared {
    server: Option<String>,
    depends_on: Vec<String>,
    group: Option<String>,
    interval: Duration,
    deadline: Duration,
    slow: Duration,
}

fn common(keys: &mut Keys<'_>, name: &str, defaults: Defaults) -> (Option<Kind>, Shared) {
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let doc = format!("What it is: {}.", names.join(", "));
    let kind = keys.required("kind", &doc, |name: String| kind(&name));
    let server = keys.optional_checked(
        "server",
        "Of kind `mcp`: the name under which the server's calls are counted, by default the component's.",
        |name: String| {
            mcpmon_metrics::Name::new(name.as_str()).map(|_| name.clone()).map_err(|e| e.to_string())
        },
    );
    if server.is_some() && kind.is_some_and(|kind| kind.name != "mcp") {
        keys.reject(
            "server",
            format!("only a component of kind `mcp` has one, and `{name}` is of another"),
        );
    }
    let shared = Shared {
        server,
        depends_on: keys.value(
            "depends_on",
            Vec::new(),
            "The components that this one needs; when one of them is down, messages name it as the cause.",
        ),
        group: keys.optional("group", "The group of like components of which some must stay up."),
        interval: keys.seconds(
            "interval_seconds",
            defaults.interval,
            Duration::from_millis(500)..=Duration::from_secs(24 * 3600),
            "How often it is checked.",
        ),
        deadline: keys.seconds(
            "timeout_seconds",
            defaults.deadline,
            Duration::from_millis(50)..=Duration::from_secs(600),
            "If it takes longer to answer, the check has failed.",
        ),
        slow: keys.seconds(
            "slow_seconds",
            defaults.slow,
            Duration::from_millis(1)..=Duration::from_secs(600),
            "If it takes longer to answer, it is degraded.",
        ),
    };
    (kind, shared)
}

/// A component that needs itself through others.
fn in_a_circle(components: &[Component]) -> Option<&str> {
    // Whoever needs only what is settled is settled; who is left over stands in a circle or above one.
    let mut settled = BTreeSet::new();
    loop {
        let before = settled.len();
        for component in components {
            if component.depends_on.iter().all(|needed| {
                // That it needs itself is told by itself.
                settled.contains(needed.as_str())
                    || *needed == component.name
                    || components.iter().all(|other| other.name != *needed)
            }) {
                settled.insert(component.name.as_str());
            }
        }
        if settled.len() == before {
            break;
        }
    }
    components.iter().map(|component| component.name.as_str()).find(|name| !settled.contains(name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mcpmon_bootstrap::Sources;

    use super::*;
    use crate::SECTIONS;

    fn read(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let name = file.path().display().to_string();
        let sources = Sources {
            file: Some(file.path().to_owned()),
            sections: SECTIONS,
            ..Sources::default()
        };
        let mut settings = Settings::load(sources).unwrap();
        let config = Config::read(&mut settings);
        let finished = settings.finish();
        finished.map(|()| config).map_err(|errors| errors.lines().join("\n").replace(&name, "FILE"))
    }

    #[test]
    fn the_operator_s_page_shows_configurations_that_work() {
        let page = include_str!("../../../docs/HEALTH.md");
        let secrets = tempfile::tempdir().unwrap();
        for (name, secret) in [
            ("boutique", "b0"),
            ("redis_url", "redis://localhost"),
            ("read_token", "r0"),
            ("slack_webhook_url", "https://hooks.slack.com/services/T/B/X"),
        ] {
            fs::write(secrets.path().join(name), secret).unwrap();
        }
        let blocks = page.split("```toml").skip(1).filter_map(|rest| rest.split("```").next());
        let mut text = String::new();
        for block in blocks {
            // Indented where it stands in a list.
            let lines = block.lines().map(str::trim_start);
            text.push_str(&lines.collect::<Vec<_>>().join("\n"));
        }
        let text = text.replace("/run/secrets", &secrets.path().display().to_string());
        let config = read(&text).unwrap();
        let kinds: BTreeSet<_> = config.watch.components.iter().map(|c| c.kind).collect();
        assert_eq!(kinds.len(), KINDS.len(), "the page shows every kind: {kinds:?}");
    }

    #[test]
    fn every_mistake_of_the_components_is_told_at_once() {
        let errors = read(
            r#"
            [health_monitor.components.a]
            kind = "tcp"
            address = "localhost:1"
            depends_on = ["b"]
            server = "x"
            [health_monitor.components.b]
            kind = "tcp"
            address = "localhost:1"
            depends_on = ["a", "nobody"]
            [health_monitor.components.c]
            kind = "ping"
            [health_monitor.components.d]
            kind = "tcp"
            [health_monitor.components."e f"]
            kind = "tcp"
            [health_monitor.components.g]
            kind = "tcp"
            address = "localhost:1"
            depends_on = ["g"]
            adress = "localhost:2"
            "#,
        )
        .unwrap_err();
        insta::assert_snapshot!(errors);
    }
}
