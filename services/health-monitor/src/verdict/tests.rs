use super::fixture::*;
use super::*;
use crate::snapshot::OwnTrouble;

fn quiet() -> (Source<Traffic>, Source<Vec<FiringAlert>>) {
    (Source::Read(Traffic::default()), Source::Read(Vec::new()))
}

/// What the components alone say.
fn of(components: Vec<Watched>) -> Overall {
    let (traffic, alerts) = quiet();
    overall(&moment(components), &traffic, &alerts, &Objectives::default())
}

/// What calls say beside a healthy server `shop`.
fn of_traffic(traffic: Traffic, objectives: &Objectives) -> Overall {
    let components = vec![watched("shop", State::Healthy)];
    overall(&moment(components), &Source::Read(traffic), &quiet().1, objectives)
}

fn of_figures(figures: Figures) -> Overall {
    let servers = servers(&[("shop", figures)]);
    of_traffic(Traffic { servers, ..Traffic::default() }, &Objectives::default())
}

fn alert(name: &str, severity: &str) -> FiringAlert {
    FiringAlert { name: name.into(), severity: severity.into(), summary: "It is so.".into() }
}

fn of_alerts(alerts: Vec<FiringAlert>) -> Overall {
    let components = vec![watched("shop", State::Healthy)];
    overall(&moment(components), &quiet().0, &Source::Read(alerts), &Objectives::default())
}

#[test]
fn every_state_has_its_colour() {
    for (state, alone, beside_a_healthy_one) in [
        (State::Healthy, Colour::Green, Colour::Green),
        (State::Degraded, Colour::Yellow, Colour::Yellow),
        (State::AuthRequired, Colour::Yellow, Colour::Yellow),
        (State::RateLimited, Colour::Yellow, Colour::Yellow),
        (State::Unknown, Colour::Unknown, Colour::Yellow),
        (State::UnsupportedTransport, Colour::Unknown, Colour::Yellow),
        (State::Unhealthy, Colour::Red, Colour::Red),
        (State::HttpUpMcpBroken, Colour::Red, Colour::Red),
        (State::ProtocolMismatch, Colour::Red, Colour::Red),
        (State::ToolsMissing, Colour::Red, Colour::Red),
    ] {
        assert_eq!(of(vec![watched("a", state)]).status, alone, "{state} alone");
        let two = of(vec![watched("b", State::Healthy), watched("a", state)]);
        assert_eq!(two.status, beside_a_healthy_one, "{state} beside a healthy one");
        assert_eq!(two.reasons.is_empty(), state == State::Healthy, "{state}");
        assert!(two.reasons.iter().all(|reason| reason.starts_with("a ")), "{:?}", two.reasons);
    }
}

#[test]
fn every_state_has_its_sentence() {
    let told = State::ALL.map(|state| {
        let mut watched = watched("a", state);
        watched.record.as_mut().unwrap().error = Some("why".into());
        of_component(&watched)
    });
    insta::assert_snapshot!(told.join("\n"), @r"
    a is healthy: why
    a is degraded: why
    a is unhealthy: why
    a is unknown: why
    a wants credentials: why
    a limits our rate: why
    a is up and broken: why
    a speaks no revision of MCP that we speak: why
    a lacks tools that it must have: why
    a speaks a transport that cannot be probed: why
    ");
}

#[test]
fn a_component_that_was_not_checked_yet_is_unknown() {
    assert_eq!(of(vec![unchecked("a")]).status, Colour::Unknown);
    let two = of(vec![unchecked("a"), watched("b", State::Healthy)]);
    assert_eq!((two.status, two.reasons), (Colour::Yellow, vec!["a was not checked yet".into()]));
    let worse = of(vec![unchecked("a"), watched("b", State::Unhealthy)]);
    assert_eq!(worse.status, Colour::Red);
}

#[test]
fn nothing_to_judge_is_unknown() {
    let none = of(Vec::new());
    assert_eq!(
        (none.status, none.reasons),
        (Colour::Unknown, vec!["no component is configured".into()])
    );
    let all = of(vec![in_maintenance(watched("a", State::Healthy))]);
    assert_eq!(
        (all.status, all.reasons),
        (Colour::Unknown, vec!["every component is in maintenance".into()])
    );
}

#[test]
fn maintenance_counts_for_nothing_and_is_named() {
    let down = in_maintenance(with_tools(watched("a", State::Unhealthy), 5, 5));
    let traffic =
        Traffic { servers: servers(&[("a", figures(100.0, 1.0, 9.0))]), ..Traffic::default() };
    let components = moment(vec![down, watched("b", State::Healthy)]);
    let overall = overall(&components, &Source::Read(traffic), &quiet().1, &Objectives::default());
    assert_eq!((overall.status, overall.reasons), (Colour::Green, vec![]));
    assert_eq!(overall.left_out, ["a: in maintenance (new disks)"]);
}

#[test]
fn tools_are_yellow_down_to_four_of_five() {
    for (known, missing, expected) in [
        (0, 0, Colour::Green),
        (5, 0, Colour::Green),
        (5, 1, Colour::Yellow),
        (5, 2, Colour::Red),
        (1, 1, Colour::Red),
        (1000, 200, Colour::Yellow),
        (1000, 201, Colour::Red),
    ] {
        let server = with_tools(watched("a", State::Healthy), known, missing);
        assert_eq!(of(vec![server]).status, expected, "{missing} of {known}");
    }
}

#[test]
fn the_tools_of_all_servers_are_one_whole() {
    let large = with_tools(watched("large", State::Healthy), 9, 0);
    let small = with_tools(watched("small", State::Degraded), 1, 1);
    let overall = of(vec![large, small]);
    assert_eq!(overall.status, Colour::Yellow);
    assert_eq!(overall.reasons[1], "small: 1 of 1 tools are unavailable: t0");
}

#[test]
fn too_few_tools_are_named() {
    let overall = of(vec![with_tools(watched("a", State::Healthy), 10, 7)]);
    assert_eq!(
        overall.reasons,
        [
            "only 3 of all 10 tools are available, less than 80 %",
            "a: 7 of 10 tools are unavailable: t0, t1, t2, t3, t4 and 2 more",
        ]
    );
}

#[test]
fn tools_that_could_not_be_listed_say_nothing() {
    for state in
        [State::Unknown, State::UnsupportedTransport, State::AuthRequired, State::RateLimited]
    {
        let overall = of(vec![with_tools(watched("a", state), 2, 2), watched("b", State::Healthy)]);
        assert_eq!((overall.status, overall.reasons.len()), (Colour::Yellow, 1), "{state}");
    }
}

#[test]
fn figures_have_their_limits() {
    for (figures, expected) in [
        (figures(20.0, 0.0, 0.1), Colour::Green),
        (figures(20.0, 0.0099, 0.99), Colour::Green),
        (figures(20.0, 0.01, 0.1), Colour::Yellow),
        (figures(20.0, 0.0499, 0.1), Colour::Yellow),
        (figures(20.0, 0.05, 0.1), Colour::Red),
        (figures(20.0, 0.0, 1.0), Colour::Yellow),
        (figures(20.0, 0.0, 4.99), Colour::Yellow),
        (figures(20.0, 0.0, 5.0), Colour::Red),
        (figures(20.0, 0.0, f64::INFINITY), Colour::Red),
        (figures(19.9, 1.0, 99.0), Colour::Green),
        (figures(f64::NAN, 1.0, 99.0), Colour::Green),
        (figures(20.0, f64::NAN, f64::NAN), Colour::Green),
        (Figures { calls: 50.0, error_ratio: None, p95_seconds: None }, Colour::Green),
    ] {
        let overall = of_figures(figures);
        assert_eq!(overall.status, expected, "{figures:?}");
        assert_eq!(overall.reasons.is_empty(), expected == Colour::Green, "{figures:?}");
    }
}

#[test]
fn figures_are_told_with_the_limit_that_they_pass() {
    assert_eq!(
        of_figures(figures(100.0, 0.0125, 7.5)).reasons,
        [
            "shop: p95 is 7.5 s, expected less than 5 s",
            "shop: 1.25 % of calls fail, expected less than 1 %",
        ]
    );
}

#[test]
fn the_worst_server_counts() {
    let servers = servers(&[
        ("a", figures(5000.0, 0.0, 0.1)),
        ("b", figures(20.0, 0.5, 0.1)),
        ("c", figures(5000.0, 0.02, 0.1)),
    ]);
    let overall = of_traffic(Traffic { servers, ..Traffic::default() }, &Objectives::default());
    assert_eq!(overall.status, Colour::Red);
    assert!(overall.reasons[0].starts_with("b: 50 % of calls fail"), "{:?}", overall.reasons);
    assert!(overall.reasons[1].starts_with("c: 2 % of calls fail"), "{:?}", overall.reasons);
}

fn studio() -> Objectives {
    Objectives::from_toml(
        r#"
        [[health_monitor.objectives]]
        tool = "generate_*"
        p95_green_seconds = 30
        p95_yellow_seconds = 120

        [[health_monitor.objectives]]
        server = "far"
        p95_green_seconds = 3
        "#,
    )
    .unwrap()
}

fn of_tools(tools: &[(&str, &str, Figures)], server: (&str, Figures)) -> Overall {
    let tool = |(server, tool, figures): &(&str, &str, Figures)| {
        ((*server).into(), (*tool).into(), *figures)
    };
    let tools = tools.iter().map(tool).map(|(s, t, f): (String, String, Figures)| ((s, t), f));
    let traffic = Traffic { servers: servers(&[server]), tools: tools.collect() };
    of_traffic(traffic, &studio())
}

#[test]
fn a_server_with_a_tool_of_its_own_limits_is_judged_tool_by_tool() {
    let server = ("studio", figures(100.0, 0.0, 60.0));
    let slow = ("studio", "generate_3d", figures(50.0, 0.0, 20.0));
    let quick = ("studio", "list", figures(50.0, 0.0, 0.1));
    assert_eq!(of_tools(&[slow, quick], server).status, Colour::Green);

    let slower = ("studio", "generate_3d", figures(50.0, 0.0, 45.0));
    let overall = of_tools(&[slower, quick], server);
    assert_eq!(overall.status, Colour::Yellow);
    assert_eq!(overall.reasons, ["studio, tool generate_3d: p95 is 45 s, expected less than 30 s"]);

    // The others keep the usual limits, and few calls say nothing of a tool.
    let stuck = ("studio", "list", figures(20.0, 0.0, 6.0));
    assert_eq!(of_tools(&[slow, stuck], server).status, Colour::Red);
    let few = ("studio", "list", figures(19.0, 0.0, 6.0));
    assert_eq!(of_tools(&[slow, few], server).status, Colour::Green);
}

#[test]
fn a_server_without_such_a_tool_is_judged_by_its_own_figures() {
    let tool = ("far", "list", figures(100.0, 0.0, 60.0));
    assert_eq!(of_tools(&[tool], ("far", figures(100.0, 0.0, 2.0))).status, Colour::Green);
    assert_eq!(of_tools(&[tool], ("far", figures(100.0, 0.0, 3.0))).status, Colour::Yellow);
    assert_eq!(of_tools(&[], ("near", figures(100.0, 0.0, 2.0))).status, Colour::Yellow);
}

#[test]
fn only_critical_alerts_are_red() {
    for (severity, expected) in [
        ("critical", Colour::Red),
        ("Critical", Colour::Red),
        ("warning", Colour::Green),
        ("none", Colour::Green),
        ("", Colour::Green),
    ] {
        assert_eq!(of_alerts(vec![alert("A", severity)]).status, expected, "{severity}");
    }
}

#[test]
fn a_critical_alert_is_named_without_its_secrets() {
    let mut alerts = vec![alert("First", "critical"), alert("Second", "critical")];
    alerts[1].summary = "http://u:s3cret@host/\n\u{1b}[2J is away".into();
    let reasons = of_alerts(alerts).reasons;
    assert_eq!(reasons[0], "the critical alert First is firing: It is so.");
    assert!(reasons[1].starts_with("the critical alert Second is firing: "), "{reasons:?}");
    assert!(
        !reasons[1].contains("s3cret") && !reasons[1].contains(char::is_control),
        "{reasons:?}"
    );
}

#[test]
fn sources_that_are_not_configured_are_left_out_and_named() {
    let components = moment(vec![watched("a", State::Healthy)]);
    let overall = overall(
        &components,
        &Source::NotConfigured,
        &Source::NotConfigured,
        &Objectives::default(),
    );
    assert_eq!((overall.status, overall.reasons), (Colour::Green, vec![]));
    assert_eq!(
        overall.left_out,
        [
            "error ratio and p95 of calls: neither a Prometheus nor an exporter is configured",
            "alerts: no Alertmanager is configured",
        ]
    );
}

#[test]
fn sources_that_cannot_be_read_leave_at_best_yellow() {
    for (state, expected) in [
        (State::Healthy, Colour::Yellow),
        (State::Unhealthy, Colour::Red),
        (State::Unknown, Colour::Unknown),
    ] {
        let overall = overall(
            &moment(vec![watched("a", state)]),
            &Source::Unreadable("no answer".into()),
            &Source::Unreadable("it answers 500".into()),
            &Objectives::default(),
        );
        assert_eq!(overall.status, expected);
        let told = &overall.reasons[overall.reasons.len() - 2..];
        let expected =
            ["the calls cannot be read: no answer", "the alerts cannot be read: it answers 500"];
        assert_eq!(told, expected);
    }
}

#[test]
fn our_own_trouble_leaves_at_best_yellow() {
    let (traffic, alerts) = quiet();
    let judge = |snapshot| overall(&snapshot, &traffic, &alerts, &Objectives::default());
    let healthy = || moment(vec![watched("a", State::Healthy)]);

    let trouble = OwnTrouble { since: NOW, why: "no file descriptors".into() };
    let degraded = judge(Snapshot { own_trouble: Some(trouble), ..healthy() });
    assert_eq!(degraded.status, Colour::Yellow);
    assert_eq!(degraded.reasons, ["the monitor itself is degraded: no file descriptors"]);

    let alone = judge(Snapshot { coordination_up: false, ..healthy() });
    assert_eq!(alone.status, Colour::Yellow);
    assert!(alone.reasons[0].starts_with("the coordination store does not answer"));
}

#[test]
fn what_is_known_to_be_red_is_red_although_no_component_is_known() {
    let overall = overall(
        &moment(vec![unchecked("a")]),
        &quiet().0,
        &Source::Read(vec![alert("A", "critical")]),
        &Objectives::default(),
    );
    assert_eq!(overall.status, Colour::Red);
}

#[test]
fn reasons_are_bounded_and_the_worst_stand_first() {
    let mut components: Vec<_> =
        (0..12).map(|place| watched(&format!("slow{place}"), State::Degraded)).collect();
    components.extend((0..5).map(|place| watched(&format!("down{place}"), State::Unhealthy)));
    let reasons = of(components).reasons;
    assert_eq!(reasons.len(), MOST_REASONS + 1);
    assert!(reasons[..5].iter().all(|reason| reason.contains("unhealthy")), "{reasons:?}");
    assert_eq!(reasons[5], "slow0 is degraded: it answers in 45 ms");
    assert_eq!(reasons[MOST_REASONS], "and 7 more");
}

#[test]
fn repairs_and_failures_are_told() {
    let mut down = watched("a", State::Unhealthy);
    down.repairing = true;
    down.record.as_mut().unwrap().consecutive_failures = 3;
    down.record.as_mut().unwrap().error = Some("connection refused".into());
    assert_eq!(
        of(vec![down]).reasons,
        ["a is unhealthy after 3 failures in a row and is being repaired: connection refused"]
    );
}

#[test]
fn exit_codes_and_words_are_those_of_the_contract() {
    let told = [Colour::Green, Colour::Yellow, Colour::Red, Colour::Unknown]
        .map(|colour| (colour.exit_code(), colour.as_str(), serde_json::to_value(colour).unwrap()));
    assert_eq!(
        told,
        [
            (0, "GREEN", "green".into()),
            (1, "YELLOW", "yellow".into()),
            (2, "RED", "red".into()),
            (3, "UNKNOWN", "unknown".into()),
        ]
    );
}

#[test]
fn a_reason_is_not_endless() {
    let reason = plain(&"x".repeat(5000));
    assert_eq!(reason.chars().count(), words::LONGEST_REASON + 1);
}
