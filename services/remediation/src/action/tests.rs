use std::fmt::Write as _;

use mcpmon_bootstrap::settings::environment_name;
use mcpmon_bootstrap::{Settings, Sources};

use super::*;

const TABLE: &str = "remediation.targets.it";

/// A kind, its keys, the description, and the names.
type Case =
    (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static [&'static str]);

/// The action, or every complaint about its keys, which come from the environment.
fn read(name: &str, given: &[(&str, &str)]) -> Result<Box<dyn Action>, String> {
    let variable = |key: &str| match key.contains('.') {
        true => environment_name(key),
        false => environment_name(&format!("{TABLE}.{key}")),
    };
    let environment = given.iter().map(|(key, value)| (variable(key), (*value).to_owned()));
    let sources = Sources { environment: environment.collect(), ..Sources::default() };
    let mut settings = Settings::load(sources).unwrap();
    allowed_commands(&mut settings);
    let action = (kind(name)?.read)(&mut Keys::new(&mut settings, TABLE.to_owned()));
    match settings.finish() {
        Ok(()) => Ok(action.expect("an action when nothing is wrong")),
        Err(errors) => Err(errors.to_string()),
    }
}

#[test]
fn every_bad_selector_is_told_what_is_wrong_with_it() {
    let allowed = ("remediation.allowed_commands", "/usr/local/sbin/heal");
    let long = format!("{}.service", "u".repeat(248));
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("docker-swarm", &[]),
        ("systemd", &[]),
        ("systemd", &[("unit", "*")]),
        ("systemd", &[("unit", "mcp-*.service")]),
        ("systemd", &[("unit", "devskyy-mcp")]),
        ("systemd", &[("unit", "devskyy-mcp.timer")]),
        ("systemd", &[("unit", ".service")]),
        ("systemd", &[("unit", "../devskyy-mcp.service")]),
        ("systemd", &[("unit", "/etc/systemd/system/devskyy-mcp.service")]),
        ("systemd", &[("unit", "a..b.service")]),
        ("systemd", &[("unit", "a.service b.service")]),
        ("systemd", &[("unit", "--all.service")]),
        ("systemd", &[("unit", "mcp@.service")]),
        ("systemd", &[("unit", &long)]),
        ("systemd", &[("unit", "a.service"), ("address", "/run/dbus/system_bus_socket")]),
        ("systemd", &[("unit", "a.service"), ("act_on_stopped", "maybe")]),
        ("docker", &[]),
        ("docker", &[("container", "*")]),
        ("docker", &[("container", "a/../b")]),
        ("docker", &[("container", "a")]),
        ("docker", &[("container", "-mcp")]),
        ("docker", &[("container", "mcp;reboot")]),
        ("docker", &[("container", "0123456789ab")]),
        ("docker", &[("container", "mcp"), ("engine", "/var/run/docker.sock")]),
        ("docker", &[("container", "mcp"), ("engine", "tcp://docker")]),
        ("docker", &[("container", "mcp"), ("engine", "https://docker:2376")]),
        ("docker", &[("container", "mcp"), ("engine", "tcp://me:password@docker:2375")]),
        ("docker", &[("container", "mcp"), ("stop_seconds", "61")]),
        ("http", &[]),
        ("http", &[("url", "localhost:8080/restart")]),
        ("http", &[("url", "ftp://localhost/restart")]),
        ("http", &[("url", "http://me:password@localhost/restart")]),
        ("http", &[("url", "http://localhost/restart#now")]),
        ("http", &[("url", "http://localhost/restart"), ("method", "DELETE")]),
        ("http", &[("url", "http://localhost/restart"), ("expect_status", "[99]")]),
        ("http", &[("url", "http://localhost/restart"), ("token", "two words")]),
        ("command", &[]),
        ("command", &[("program", "heal"), allowed]),
        ("command", &[("program", "/usr/local/sbin/../sbin/heal"), allowed]),
        ("command", &[("program", "/usr/local/sbin/"), allowed]),
        ("command", &[("program", "/usr/local/sbin/*"), allowed]),
        ("command", &[("program", "/usr/local/sbin/heal")]),
        ("command", &[("program", "/bin/sh"), ("remediation.allowed_commands", "sh")]),
    ];
    let mut told = String::new();
    for (kind, keys) in cases {
        let given: Vec<_> = keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let error = read(kind, keys).unwrap_err();
        assert!(!error.contains("password@"), "{error}");
        writeln!(told, "{kind}: {}\n{error}\n", given.join(", ")).unwrap();
    }
    insta::assert_snapshot!(told.trim_end());
}

#[test]
fn a_target_says_what_is_done_and_by_which_names_it_is_known() {
    let cases: &[Case] = &[
        ("systemd", &[("unit", "mcp@1.service")], "restart unit mcp@1.service", &["mcp@1.service"]),
        (
            "docker",
            &[("container", "devskyy-mcp"), ("engine", "tcp://docker-filter:2375")],
            "restart container devskyy-mcp",
            &["devskyy-mcp"],
        ),
        (
            "http",
            &[("url", "http://platform/restart?key=hidden"), ("token", "hidden")],
            "call POST http://platform/restart",
            &["platform:80", "platform"],
        ),
        (
            "command",
            &[
                ("program", "/usr/local/sbin/heal"),
                ("arguments", "[\"--now\"]"),
                ("remediation.allowed_commands", "/usr/local/sbin/heal"),
            ],
            "run /usr/local/sbin/heal --now",
            &["/usr/local/sbin/heal", "heal"],
        ),
    ];
    for (kind, keys, description, names) in cases {
        let action = read(kind, keys).unwrap();
        assert_eq!(action.describe(), *description);
        assert_eq!(action.names(), *names);
        assert!(!format!("{action:?}").contains("hidden"));
    }
}
