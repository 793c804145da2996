//! Listings that end, that do not, and that are none.

use mcpmon_mcp_client::Fault;
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn all_pages_are_read_in_either_era() {
    for era in ["legacy", "modern"] {
        let page = |request: &_| {
            let cursor = message(request)["params"]["cursor"].as_str().map(str::to_owned);
            let (name, next) = match cursor.as_deref() {
                None => ("a", Some("2")),
                Some("2") => ("b", Some("3")),
                _ => ("c", None),
            };
            let mut page = json!({"resultType": "complete", "tools": [tool(name)], "ttlMs": 600_000, "cacheScope": "public"});
            if let Some(next) = next {
                page["nextCursor"] = next.into();
            }
            result(request, &page)
        };
        let server = if era == "legacy" { legacy(page) } else { modern(page) };
        let (mut session, listing) = check(&to_url(&server.url())).await;
        assert_eq!(listing.tools.keys().collect::<Vec<_>>(), ["a", "b", "c"], "{era}");
        assert_eq!(listing.incomplete, None);
        assert!(listing.tools.values().all(|tool| tool.schema_valid && !tool.read_only));

        // Nothing is answered from memory, whatever the server allows.
        let before = server.requests().len();
        let again = session.list_tools(PATIENCE).await.unwrap();
        assert_eq!(again, listing);
        assert_eq!(server.requests().len(), before + 3);
        drop(server);
        assert!(session.ping(PATIENCE).await.is_err(), "{era}");
        assert!(session.list_tools(PATIENCE).await.is_err(), "{era}");
    }
}

#[tokio::test]
async fn a_listing_that_does_not_end_is_incomplete() {
    let repeating =
        legacy(|request| result(request, &json!({"tools": [tool("a")], "nextCursor": "again"})));
    let (_, listing) = check(&to_url(&repeating.url())).await;
    assert!(listing.incomplete.is_some());
    assert!(repeating.requests().len() < 10);

    let endless = legacy(|request| {
        let cursor =
            message(request)["params"]["cursor"].as_str().map_or(0, |at| at.parse().unwrap());
        let page =
            json!({"tools": [tool(&format!("t{cursor}"))], "nextCursor": (cursor + 1).to_string()});
        result(request, &page)
    });
    let (_, listing) = check(&to_url(&endless.url())).await;
    let why = listing.incomplete.unwrap();
    assert!(why.contains("100 pages"), "{why}");
    assert_eq!(listing.tools.len(), 100);

    // Also when no other page follows.
    for next in [json!("2"), json!(null)] {
        let huge = legacy(move |request| {
            let tools: Vec<_> = (0..10_500).map(|at| tool(&format!("t{at}"))).collect();
            result(request, &json!({"tools": tools, "nextCursor": next}))
        });
        let (_, listing) = check(&to_url(&huge.url())).await;
        let why = listing.incomplete.unwrap();
        assert!(why.contains("10000 tools"), "{why}");
        assert_eq!(listing.tools.len(), 10_000);
    }
    let full = legacy(|request| {
        let tools: Vec<_> = (0..10_000).map(|at| tool(&format!("t{at}"))).collect();
        result(request, &json!({"tools": tools}))
    });
    let (_, listing) = check(&to_url(&full.url())).await;
    assert_eq!((listing.tools.len(), listing.incomplete), (10_000, None));
}

#[tokio::test]
async fn a_tool_with_a_bad_schema_is_listed_as_such() {
    let server = legacy(|request| {
        let bad = json!({"name": "bad", "inputSchema": "none"});
        let odd = json!({"name": "odd", "inputSchema": {"type": "array"}});
        result(request, &json!({"tools": [bad, odd, tool("good")]}))
    });
    let (_, listing) = check(&to_url(&server.url())).await;
    let valid: Vec<_> =
        listing.tools.iter().map(|(name, tool)| (name.as_str(), tool.schema_valid)).collect();
    assert_eq!(valid, [("bad", false), ("good", true), ("odd", false)]);
    assert_eq!(listing.incomplete, None);
}

#[tokio::test]
async fn a_refused_listing_is_a_fault_only_where_tools_were_promised() {
    let server = legacy(|request| error(request, -32601, "Method not found"));
    let mut session = to_url(&server.url()).open(PATIENCE).await.unwrap();
    let fault = session.list_tools(PATIENCE).await.unwrap_err();
    assert!(matches!(fault, Fault::Rpc { code: -32601, .. }), "{fault:?}");

    let server = mcpmon_testkit::http_script::HttpScript::start(|request| {
        match message(request)["method"].as_str() {
            Some("server/discover") => result(
                request,
                &json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}, "ttlMs": 0, "cacheScope": "private"}),
            ),
            _ => error(request, -32601, "Method not found"),
        }
    });
    let (_, listing) = check(&to_url(&server.url())).await;
    assert!(listing.tools.is_empty() && listing.incomplete.is_none());

    let none = legacy(|request| result(request, &json!({"hello": 1})));
    let mut session = to_url(&none.url()).open(PATIENCE).await.unwrap();
    let fault = session.list_tools(PATIENCE).await.unwrap_err();
    assert!(matches!(fault, Fault::NotMcp(_)), "{fault:?}");
}
