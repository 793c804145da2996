//! `--metrics`: the numbers on the tap's own page.

use std::net::TcpListener;

use mcpmon_testkit::program::until;

use super::*;

/// A call that succeeds behind that prefix.
fn succeed(tap: &Tap, origin: &Origin, prefix: &str) {
    let mut client = tap.connect();
    client.send(call(1).replacen("/mcp", &format!("{prefix}/mcp"), 1));
    let mut server = origin.accept();
    server.message();
    server.send(reply(OK));
    client.message();
}

/// What a scrape shows, once it shows `wanted`: the observer reads behind the traffic.
fn scrape(page: &str, wanted: &str) -> String {
    until(wanted, || {
        let mut client = Wire::connect(page);
        client.send("GET /metrics HTTP/1.1\r\nHost: tap\r\nConnection: close\r\n\r\n");
        let text = client.rest();
        text.lines().any(|line| line == wanted).then_some(text)
    })
}

fn page_of(tap: &mut Tap) -> String {
    let said = line(&mut tap.said);
    let address = said.strip_prefix("metrics on http://").and_then(|a| a.strip_suffix("/metrics"));
    address.expect(&said).to_owned()
}

fn calls(server: &str) -> String {
    format!(r#"mcp_tool_calls_total{{server="{server}",status="success",tool_name="a"}} 1"#)
}

#[test]
fn one_page_has_the_calls_of_all_servers() {
    let (one, two) = (Origin::start(), Origin::start());
    let mut command = listener();
    command.args(["--metrics", "127.0.0.1:0", "--allow-host", "tap"]);
    for (prefix, origin) in [("one", &one), ("two", &two)] {
        command.args(["--upstream", &format!("/{prefix}={}", origin.url())]);
    }
    let mut tap = Tap::spawn(&mut command);
    let page = page_of(&mut tap);
    succeed(&tap, &one, "/one");
    succeed(&tap, &two, "/two");
    scrape(&page, &calls("one"));
    let text = scrape(&page, &calls("two"));
    assert!(text.lines().any(|line| line == calls("one")), "{text}");
    assert!(text.contains(r#"mcp_active_connections{server="one",transport="http"} "#), "{text}");
}

#[test]
fn beside_an_exporter_it_is_about_the_tap_itself() {
    let (origin, exporter) = (Origin::start(), exporter());
    let upstream = format!("test={}/mcp", origin.url());
    let arguments = ["--metrics", "127.0.0.1:0", "--allow-host", "tap", "--upstream", &upstream];
    let mut tap = Tap::start(&exporter, &arguments);
    let page = page_of(&mut tap);
    succeed(&tap, &origin, "");
    exporter.wait_for(|requests| endings(&posted(requests, "test")) == ["a success"]);
    let text = scrape(&page, "mcp_sdk_events_dropped_total 0");
    assert!(!text.contains("mcp_tool_calls_total{"), "{text}");
    assert_eq!(endings(&tap.told(&exporter)), ["a success"]);
}

#[test]
fn a_page_that_cannot_be_served_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = listener();
    command.args(["--metrics", &address, "--upstream", "http://127.0.0.1:1/mcp"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(70));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--metrics cannot be served: ") && said.contains(&address), "{said}");
}
