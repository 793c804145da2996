//! What an operator types, and what it says and how it ends.

use mcpmon_testkit::program::until;

use crate::program::{Done, Setup, ask};

const ASKED: &str = r#"{"component":"shop","failure":"timeout"}"#;

#[track_caller]
fn ends(done: &Done, code: i32) -> &str {
    assert_eq!(done.code, code, "{done:?}");
    if code == 0 { &done.said } else { &done.error }
}

#[test]
fn a_configuration_is_checked() {
    let setup = Setup::new();
    assert_eq!(ends(&setup.run(&["--check-config"], ""), 0), "");
    setup.write("perhaps");
    let told = setup.run(&["--check-config"], "");
    assert!(ends(&told, 64).contains("remediation.rules.shop.mode"), "{told:?}");
    let alone = setup.bare(&["--check-config"], "");
    assert!(ends(&alone, 64).contains("coordination.url: is not set"), "{alone:?}");
    for wrong in [
        &["--chekc-config"][..],
        &["pause", "shop"],
        &["history", "--limit", "0"],
        &["--check-config", "history"],
    ] {
        ends(&setup.run(wrong, ""), 64);
    }
    assert!(ends(&setup.bare(&["--help"], ""), 0).contains("explain"));
}

#[test]
fn without_a_configuration_the_prototype_s_rules_answer() {
    let asked = r#"{"component":"api","failure":"connection_refused"}"#;
    let told = Setup::new().bare(&["explain", "-", "--offline"], asked);
    let words = "Decision: skip: no_target (rule api acts on `devskyy-mcp`, which is not listed)";
    assert!(ends(&told, 0).contains(words), "{told:?}");
}

#[test]
fn without_the_service_the_configuration_answers() {
    let setup = Setup::new();
    let offline = setup.run(&["explain", "-", "--offline"], ASKED);
    assert_eq!(offline.error, "");
    ends(&offline, 0);
    let fallen_back = setup.run(&["explain", "-"], ASKED);
    let without_key = |text: &str| {
        let (before, after) = text.split_once("shop@").unwrap();
        let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
        format!("{before}shop@…{after}")
    };
    insta::assert_snapshot!(without_key(&offline.said));
    assert_eq!(without_key(&fallen_back.said), without_key(&offline.said));
    assert!(fallen_back.error.starts_with("note: the service at http://127.0.0.1:PORT cannot be"));
    for (input, told) in [("{", "neither an incident nor"), (r#"{"component":"a"}"#, "failure")] {
        let done = setup.run(&["explain", "-"], input);
        assert!(ends(&done, 70).contains(told), "{done:?}");
    }
    let missing = setup.run(&["explain", "missing.json"], "");
    assert!(ends(&missing, 70).contains("missing.json cannot be read"), "{missing:?}");
    for command in [&["history"][..], &["approve", "shop@1"], &["resume", "shop"], &["--health"]] {
        ends(&setup.run(command, ""), 70);
    }
}

#[test]
fn the_running_service_is_told_and_asked() {
    let setup = Setup::new();
    let service = setup.start();
    ends(&setup.run(&["--health"], ""), 0);
    assert_eq!(ends(&setup.run(&["history"], ""), 0), "nothing is on record\n");
    let mut told = String::new();
    let mut say = |arguments: &[&str], code: i32| {
        let done = setup.run(arguments, "");
        told.push_str(&format!("$ {}\n{}", arguments.join(" "), ends(&done, code)));
    };
    say(&["pause", "shop", "--for", "2h", "--reason", "new disks"], 0);
    say(&["pause", "_all", "--for", "30m", "--reason", "move"], 0);
    say(&["pause", "shpo", "--for", "30m", "--reason", "typo"], 70);
    say(&["resume", "shop"], 0);
    say(&["resume", "shop"], 70);
    say(&["resume", "_all"], 0);
    say(&["resume", "../audit?x"], 70);
    say(&["close-circuit", "shop"], 70);
    say(&["approve", "shop@1"], 70);
    insta::assert_snapshot!(told);

    // The monitor knows nothing of it, as far as this memory says.
    let explained = setup.run(&["explain", "-"], ASKED);
    assert_eq!(explained.error, "");
    insta::assert_snapshot!(ends(&explained, 0));
    let json = setup.run(&["explain", "-", "--json"], ASKED);
    let answers: serde_json::Value = serde_json::from_str(ends(&json, 0)).unwrap();
    assert_eq!(answers[0]["verdict"]["reason"], "inventory_old");

    let alert = r#"{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Down","component":"shop",
        "failure":"timeout"},"startsAt":"2026-01-01T00:00:00Z"}]}"#;
    assert_eq!(ask(&service, "POST", "/v1/alerts", "alerter", alert).status, 200);
    let history = until("the alert is on record", || {
        let history = setup.run(&["history"], "");
        ends(&history, 0).contains("no_component").then_some(history.said)
    });
    let lines: Vec<_> = history
        .lines()
        .map(|line| {
            // A number, a time, and then the words.
            let mut words = line.split_whitespace();
            let number = words.next().unwrap().to_owned();
            let time = words.next().unwrap();
            assert!(humantime::parse_rfc3339(time).is_ok(), "{line}");
            let rest: Vec<_> =
                words
                    .map(|word| {
                        if word.parse::<u64>().is_ok_and(|it| it > 1 << 40) { "…" } else { word }
                    })
                    .collect();
            format!("{number} TIME {}", rest.join(" "))
        })
        .collect();
    let lines: Vec<_> = lines
        .iter()
        .map(|line| match line.split_once("(paused until ") {
            Some((before, after)) => {
                format!("{before}(paused until …{}", &after[after.find(':').unwrap()..])
            }
            None => line.clone(),
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    let newest = setup.run(&["history", "--limit", "1", "--json"], "");
    let page: serde_json::Value = serde_json::from_str(ends(&newest, 0)).unwrap();
    assert_eq!(page["records"].as_array().unwrap().len(), 1);
    let first = setup.run(&["history", "--before", "2"], "");
    assert_eq!(ends(&first, 0).lines().count(), 1);
    assert!(service.terminate().success());
}
