use std::fmt::Write as _;
use std::fs;

use mcpmon_bootstrap::Sources;
use mcpmon_bootstrap::logging::Logging;

use super::*;
use crate::SECTIONS;
use crate::clock::Clock;
use crate::explain::{Question, offline};
use crate::policy::Mode;

/// What a service needs beside its rules.
const ALONE: &str = "[coordination]\nbackend = \"memory\"\n";

/// The configuration in that text, or every complaint about it.
fn read(text: &str) -> Result<Config, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let name = file.path().display().to_string();
    let sources =
        Sources { file: Some(file.path().to_owned()), sections: SECTIONS, ..Sources::default() };
    let told =
        |errors: mcpmon_bootstrap::ConfigErrors| errors.lines().join("\n").replace(&name, "FILE");
    let mut settings = Settings::load(sources).map_err(told)?;
    let config = Config::of_service(&mut settings);
    Logging::from_settings(&mut settings, "info");
    settings.finish().map(|()| config).map_err(told)
}

/// The rule `shop` with this instead of one of its keys, and with two targets.
fn shop(key: &str, value: &str) -> String {
    let mut text = format!("{ALONE}[remediation.rules.shop]\n");
    for (name, good) in [
        ("component", "\"shop\""),
        ("failures", "[\"timeout\"]"),
        ("ladder", "[\"first\"]"),
        ("mode", "\"act\""),
    ] {
        let value = if name == key { value } else { good };
        if !value.is_empty() {
            writeln!(text, "{name} = {value}").unwrap();
        }
    }
    for target in ["first", "second"] {
        let table = format!("[remediation.targets.{target}]");
        write!(text, "{table}\nkind = \"docker\"\ncontainer = \"shop-{target}\"\n").unwrap();
    }
    text
}

fn target(keys: &str) -> String {
    format!("{ALONE}[remediation.targets.it]\n{keys}\n")
}

fn general(keys: &str) -> String {
    format!("{ALONE}[remediation]\n{keys}\n")
}

#[test]
fn every_mistake_is_told_what_would_be_right() {
    let two = shop("", "")
        + "[remediation.rules.again]\ncomponent = \"shop\"\nfailures = [\"dns\", \"timeout\"]\nladder = [\"second\"]\n";
    let cases = [
        ("no coordination", String::new()),
        ("a URL and memory", format!("{ALONE}url = \"redis://localhost\"\n")),
        ("redis without a URL", "[coordination]\nbackend = \"redis\"\n".to_owned()),
        ("no component", shop("component", "")),
        ("an empty component", shop("component", "\"\"")),
        ("a wildcard component", shop("component", "\"*\"")),
        ("a pattern of components", shop("component", "\"shop-.*\"")),
        ("a protected component", shop("component", "\"redis\"")),
        ("the health monitor", shop("component", "\"health-monitor\"")),
        ("no failures", shop("failures", "")),
        ("empty failures", shop("failures", "[]")),
        ("an unknown failure", shop("failures", "[\"timeout\", \"sulking\"]")),
        ("a failure that is no list", shop("failures", "7")),
        ("no ladder", shop("ladder", "")),
        ("an empty ladder", shop("ladder", "[]")),
        ("an unknown target", shop("ladder", "[\"first\", \"third\"]")),
        ("a wildcard target", shop("ladder", "[\"*\"]")),
        ("twice in a ladder", shop("ladder", "[\"first\", \"second\", \"first\"]")),
        ("an unknown mode", shop("mode", "\"perhaps\"")),
        (
            "an unknown key of a rule",
            shop("", "") + "[remediation.rules.shop2]\ncomponents = \"a\"\n",
        ),
        ("two rules for one failure", two),
        (
            "a shipped rule, broken",
            format!("{ALONE}[remediation.rules.api]\nladder = [\"other\"]\n"),
        ),
        ("no kind", target("container = \"shop-1\"")),
        ("an unknown kind", target("kind = \"kubernetes\"")),
        (
            "an unknown key of a target",
            target("kind = \"docker\"\ncontainer = \"shop-1\"\nunit = \"a\""),
        ),
        ("a wildcard container", target("kind = \"docker\"\ncontainer = \"*\"")),
        ("redis as a container", target("kind = \"docker\"\ncontainer = \"mcpmon-redis-1\"")),
        (
            "the monitor as a unit",
            target("kind = \"systemd\"\nunit = \"mcp-health-monitor.service\""),
        ),
        (
            "remediation itself as a unit",
            target("kind = \"systemd\"\nunit = \"mcp-remediation.service\""),
        ),
        ("our own address", target("kind = \"http\"\nurl = \"http://127.0.0.1:9096/v1/alerts\"")),
        (
            "our own address by another name",
            target("kind = \"http\"\nurl = \"http://localhost:9096/\""),
        ),
        ("the monitor's address", target("kind = \"http\"\nurl = \"http://localhost:9095/x\"")),
        ("a command that is not allowed", target("kind = \"command\"\nprogram = \"/bin/reboot\"")),
        (
            "a target without a name",
            format!("{ALONE}[remediation.targets.\"a b\"]\nkind = \"docker\"\n"),
        ),
        ("an unknown key", general("atempts = 3")),
        ("an unknown mode of all", general("mode = \"yes\"")),
        ("no attempts", general("attempts = 0")),
        ("seconds that are none", general("window_seconds = \"an hour\"")),
        ("negative seconds", general("cool_down_seconds = -1")),
        ("too many seconds", general("lease_seconds = 100000")),
        ("a share above 1", general("storm_share = 1.5")),
        ("a storm of one", general("storm_components = 1")),
        ("a monitor that is none", general("monitor.url = \"health-monitor:9095\"")),
        ("a password in the monitor's URL", general("monitor.url = \"http://u:s3cret@m:9095\"")),
    ];
    let mut told = String::new();
    for (what, text) in cases {
        let errors = read(&text).err().unwrap_or_else(|| "nothing".to_owned());
        assert!(!errors.contains("s3cret"), "{what}: {errors}");
        assert_ne!(errors, "nothing", "{what} is accepted");
        writeln!(told, "{what}\n  {}", errors.replace('\n', "\n  ")).unwrap();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn the_rule_that_every_mistake_is_made_in_is_right_otherwise() {
    let config = read(&shop("", "")).unwrap();
    assert_eq!(config.policy.rules.len(), 3, "the shipped rules are there too");
    assert_eq!(config.policy.rules[0].mode, Mode::Act);
}

fn explain(config: &Config, component: &str, failure: &str) -> String {
    let text = format!(r#"{{"component":"{component}","failure":"{failure}"}}"#);
    let question = Question::parse(text.as_bytes()).unwrap();
    let answers = offline(&question, &config.policy, &Clock::default());
    assert_eq!(answers.len(), 1);
    answers[0].verdict.to_string()
}

#[test]
fn the_shipped_rules_wait_for_their_targets() {
    let config = read(ALONE).unwrap();
    let told = [("api", "connection_refused"), ("metrics_server", "timeout"), ("api", "timeout")]
        .map(|(component, failure)| explain(&config, component, failure));
    assert_eq!(
        told,
        [
            "skip: no_target (rule api acts on `devskyy-mcp`, which is not listed)",
            "skip: no_target (rule metrics_server acts on `exporter`, which is not listed)",
            "skip: no_rule (none for timeout of api)",
        ]
    );
    let listed = format!(
        "{ALONE}[remediation.targets.exporter]\nkind = \"docker\"\ncontainer = \"mcpmon-exporter-1\"\n"
    );
    let config = read(&listed).unwrap();
    assert_eq!(
        explain(&config, "metrics_server", "timeout"),
        "act: restart container mcpmon-exporter-1"
    );
    let careful = read(&format!("{listed}[remediation]\nmode = \"dry_run\"\n")).unwrap();
    assert_eq!(
        explain(&careful, "metrics_server", "timeout"),
        "skip: dry_run (it would restart container mcpmon-exporter-1)"
    );
}

/// The text with its secrets in a folder that is there.
fn with_secrets(text: &str, folder: &std::path::Path) -> String {
    for name in ["operate_token", "platform.token"] {
        fs::write(folder.join(name), "t0").unwrap();
    }
    let folder = folder.display().to_string();
    text.replace("/run/secrets", &folder).replace("/etc/mcpmon", &folder)
}

#[test]
fn the_operators_page_shows_configurations_that_work() {
    let page = include_str!("../../../../docs/REMEDIATION.md");
    let secrets = tempfile::tempdir().unwrap();
    let blocks = page.split("```toml").skip(1).filter_map(|rest| rest.split("```").next());
    let mut kinds = std::collections::BTreeSet::new();
    let mut count = 0;
    for block in blocks {
        let mut text = with_secrets(block, secrets.path());
        if !text.contains("[coordination]") {
            text.push_str(ALONE);
        }
        let config = read(&text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        kinds.extend(config.policy.targets.values().map(|target| target.kind));
        count += 1;
    }
    assert!(count >= 2, "{count} blocks");
    assert_eq!(kinds.len(), crate::action::KINDS.len(), "the page shows every kind: {kinds:?}");
}

#[test]
fn the_stacks_file_works_as_it_is_and_with_what_it_offers() {
    let file = include_str!("../../../../deploy/remediation/remediation.toml");
    let config = read(&format!("{file}\n{ALONE}")).unwrap();
    assert_eq!(config.policy.targets.len(), 2);
    assert_eq!(
        explain(&config, "metrics_server", "dns"),
        "act: restart container mcpmon-exporter-1"
    );
    // A line of the configuration has its sign without a space.
    let offered = |line: &str| {
        let rest = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        rest.unwrap_or(line).to_owned()
    };
    let all: Vec<_> = file.lines().map(offered).collect();
    let config = read(&format!("{}\n{ALONE}", all.join("\n"))).unwrap();
    assert_eq!(config.policy.targets.len(), 3);
    assert!(explain(&config, "catalogue", "timeout").starts_with("skip: dry_run"));
}
