use std::path::Path;

use mcpmon_metrics::Ending;
use serde_json::json;

use super::*;

const CONFIG: &str = r#"
[exporter]
listen = "another program's"

[[tap.agents]]
tools = ["run_*_workflow", "scan_code"]
agent = "/structuredContent/agent"
category = "infrastructure"

[[tap.tokens]]
tools = ["*"]
provider = "anthropic"
model = "/_meta/usage/model"
input = "/_meta/usage/input_tokens"
output = "/_meta/usage/output_tokens"

[[tap.generations]]
tools = ["generate_3d_*"]
status = "/content/0/text/status"

[[tap.generations]]
tools = ["render"]
"#;

fn rules(text: &str) -> Result<Rules, String> {
    config::parse(Path::new("tap.toml"), text)
        .map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

fn told(tool: &str, ending: Ending<'_>, result: Option<&str>) -> Vec<serde_json::Value> {
    let mut events = Vec::new();
    rules(CONFIG).unwrap().apply(tool, Outcome::from(ending), result, |event| events.push(event));
    events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

const OK: Ending<'_> = Ending::Result { is_error: false };
const FAILED: Ending<'_> = Ending::Result { is_error: true };

#[test]
fn agents_are_counted_where_the_call_succeeded() {
    let result = r#"{"structuredContent": {"agent": "ops"}}"#;
    let used = json!({"type": "agent_usage", "agent": "ops", "category": "infrastructure"});
    assert_eq!(told("run_big_workflow", OK, Some(result)), [used]);
    assert!(told("run_big_workflow", FAILED, Some(result)).is_empty());
    assert!(told("run_big_workflow", OK, Some("{}")).is_empty());
    assert!(told("else", OK, Some(result)).is_empty());
}

#[test]
fn tokens_are_counted_with_and_without_a_model_and_of_failed_calls_too() {
    let usage = r#"{"_meta": {"usage": {"model": "m", "input_tokens": 7, "output_tokens": 0}}}"#;
    let used = json!({"type": "llm_tokens", "provider": "anthropic", "model": "m", "input": 7});
    assert_eq!(told("any", OK, Some(usage)), std::slice::from_ref(&used));
    assert_eq!(told("any", FAILED, Some(usage)), [used]);
    let nameless = r#"{"_meta": {"usage": {"output_tokens": 1e30, "input_tokens": 5}}}"#;
    assert_eq!(told("any", OK, Some(nameless))[0]["model"], "_other");
    let none = r#"{"_meta": {"usage": {"model": "m", "input_tokens": "7"}}}"#;
    assert!(told("any", OK, Some(none)).is_empty());
}

#[test]
fn generations_are_counted_by_their_status_or_by_the_calls_end() {
    let status = |tool: &str, ending, result: Option<&str>| {
        let events = told(tool, ending, result);
        events.first().map(|event| event["status"].as_str().unwrap().to_owned())
    };
    let said = |word: &str| format!(r#"{{"content": [{{"text": "{{\"status\": \"{word}\"}}"}}]}}"#);
    let of = |word: &str| status("generate_3d_from_text", OK, Some(&said(word)));
    assert_eq!(of("Completed").as_deref(), Some("success"));
    assert_eq!(of("queued").as_deref(), Some("pending"));
    assert_eq!(of("failed").as_deref(), Some("failed"));
    assert_eq!(of("who knows"), None);
    assert_eq!(status("generate_3d_from_text", FAILED, None).as_deref(), Some("failed"));
    assert_eq!(status("render", OK, Some("{}")).as_deref(), Some("success"));
    assert_eq!(status("render", Ending::Eof, None).as_deref(), Some("failed"));
    assert_eq!(status("render", Ending::Cancelled, None), None);
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, name, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("a*", "a", true),
        ("a*c", "abc", true),
        ("a*c", "abcd", false),
        ("ab*bc", "abc", false),
        ("*b*", "abc", true),
        ("*b*b*", "abc", false),
        ("a*b*c", "a_b_b_c", true),
        ("**", "x", true),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let wrong = r#"
        [[tap.agents]]
        tools = []
        agent = ""
        category = "c"
        [[tap.tokens]]
        tools = ["*"]
        provider = "p"
        model = "m"
        input = "usage"
        [[tap.tokens]]
        tools = ["*"]
        provider = "p"
        model = "m"
        [[tap.generations]]
        tools = ["g"]
        failed = ["no"]
    "#;
    let message = rules(wrong).unwrap_err();
    for words in [
        "tap.toml has 5 wrong: ",
        "tap.agents[0].tools is []; expected names of tools",
        "tap.agents[0].agent is \"\" and is empty",
        "tap.tokens[0].input is \"usage\"; expected a place",
        "tap.tokens[1].input is missing",
        "tap.generations[0].status is missing",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(rules("[tap]\nagnets = []").unwrap_err().contains("unknown field `agnets`"));
    assert!(rules("[exporter]").unwrap_err().contains("missing field `tap`"));
    assert_eq!(rules("[tap]"), Ok(Rules::default()));
}
