//! The status page and its assets.

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

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains(char::is_whitespace)
}
