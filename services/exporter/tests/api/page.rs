//! The status page and its assets.

use std::collections::BTreeSet;

use crate::support::{Exporter, get};

#[tokio::test]
async fn the_page_allows_only_what_the_exporter_itself_serves() {
    let exporter = Exporter::start(&[]).await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/assets/page.css", "text/css; charset=utf-8"),
        ("/assets/page.js", "text/javascript; charset=utf-8"),
    ] {
        let reply = exporter.send(get(path)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(content_type)));
        let policy = "default-src 'self'; frame-ancestors 'none'";
        assert_eq!(reply.header("content-security-policy"), Some(policy), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert!(!reply.body.contains("://"), "{path} names another place");
    }
}

#[tokio::test]
async fn nothing_in_the_page_needs_an_exception_of_the_policy() {
    let exporter = Exporter::start(&[]).await;
    let page = exporter.send(get("/")).await.body;
    assert!(!page.contains("<style") && !page.contains(" style="), "an inline style");
    let handlers = ["onclick=", "onload=", "onerror=", "javascript:"];
    assert!(!handlers.iter().any(|handler| page.contains(handler)), "an inline handler");
    for script in page.match_indices("<script") {
        assert!(page[script.0..].starts_with("<script src=\"/assets/"), "an inline script");
    }
}

#[tokio::test]
async fn every_asset_and_every_source_of_the_page_is_there() {
    let exporter = Exporter::start(&[]).await;
    let page = exporter.send(get("/")).await.body;
    let script = exporter.send(get("/assets/page.js")).await.body;
    let mut links = 0;
    for quoted in page.split('"').chain(script.split('"')).filter(|text| is_path(text)) {
        links += 1;
        assert_eq!(exporter.send(get(quoted)).await.status, 200, "{quoted}");
    }
    assert!(links > 6, "{links}");
}

#[tokio::test]
async fn the_script_writes_only_to_what_the_page_has() {
    let exporter = Exporter::start(&[]).await;
    let page = exporter.send(get("/")).await.body;
    let script = exporter.send(get("/assets/page.js")).await.body;
    let named =
        ["byId(\"", "fill(\n    \""].into_iter().flat_map(|call| script.split(call).skip(1));
    let ids: BTreeSet<_> = named.filter_map(|rest| rest.split_once('"')).map(|id| id.0).collect();
    assert!(ids.contains("components") && ids.contains("verdict"), "{ids:?}");
    for id in ids {
        assert_eq!(page.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
    }
}

#[tokio::test]
async fn texts_of_others_are_never_read_as_markup() {
    let exporter = Exporter::start(&[]).await;
    let script = exporter.send(get("/assets/page.js")).await.body;
    for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!script.contains(way), "{way}");
    }
}

#[tokio::test]
async fn the_table_of_components_has_a_heading_for_each_cell() {
    let exporter = Exporter::start(&[]).await;
    let page = exporter.send(get("/")).await.body;
    let section = between(&page, "<section id=\"components-section\"", "</section>");
    assert!(section.contains("aria-labelledby=\"components-title\" hidden>"), "{section}");
    let headings: Vec<_> = section.split("<th scope=\"col\"").skip(1).collect();
    let headings: Vec<_> = headings.iter().map(|th| between(th, ">", "</th>")).collect();
    let expected = ["Component", "Kind", "State", "Latency", "Tools", "Since", "Error"];
    assert_eq!(headings, expected);
}

#[tokio::test]
async fn the_tables_of_repairs_have_a_heading_for_each_cell_and_a_name() {
    let exporter = Exporter::start(&[]).await;
    let page = exporter.send(get("/")).await.body;
    let section = between(&page, "<section id=\"repairs-section\"", "</section>");
    for (table, expected) in [
        ("blocked", &["Component", "Failure", "Decision", "Why", "Since"][..]),
        ("actions", &["Time", "Component", "Action", "Result", "Duration", "Detail"]),
    ] {
        let start = format!("<div id=\"{table}-table\"");
        let table_html = between(section, &start, "</div>");
        let label = format!("aria-labelledby=\"{table}-title\"");
        assert!(table_html.contains(&label) && table_html.contains("tabindex=\"0\""), "{table}");
        assert!(table_html.contains(&format!("<caption id=\"{table}-title\">")), "{table}");
        let headings: Vec<_> = table_html.split("<th scope=\"col\"").skip(1).collect();
        let headings: Vec<_> = headings.iter().map(|th| between(th, ">", "</th>")).collect();
        assert_eq!(headings, expected);
    }
}

#[tokio::test]
async fn every_state_that_is_not_unknown_has_a_colour() {
    let exporter = Exporter::start(&[]).await;
    let script = exporter.send(get("/assets/page.js")).await.body;
    let colours = between(&script, "const COLOURS = {", "};");
    for (state, colour) in [
        ("healthy", "green"),
        ("degraded", "yellow"),
        ("auth_required", "yellow"),
        ("rate_limited", "yellow"),
        ("unhealthy", "red"),
        ("http_up_mcp_broken", "red"),
        ("protocol_mismatch", "red"),
        ("tools_missing", "red"),
    ] {
        assert!(colours.contains(&format!(" {state}: \"{colour}\"")), "{state}");
        assert!(
            exporter.send(get("/assets/page.css")).await.body.contains(&format!("td.{colour} "))
        );
    }
}

/// What stands between two texts.
fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let inside = text.split_once(start).and_then(|(_, rest)| rest.split_once(end));
    inside.expect("the text has both").0
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains(char::is_whitespace)
}
