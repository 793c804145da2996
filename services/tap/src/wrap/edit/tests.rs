use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn launch() -> Launch {
    Launch { program: "/opt/mcp-tap".into(), options: vec!["--exporter".into(), "http://e".into()] }
}

fn wrapped(text: &str) -> String {
    Plan::wrap(text, &launch()).unwrap().apply(text)
}

fn unwrapped(text: &str) -> String {
    Plan::unwrap(text).unwrap().apply(text)
}

fn fates(text: &str) -> Vec<(String, Fate)> {
    Plan::wrap(text, &launch()).unwrap().servers
}

#[test]
fn the_tap_stands_before_each_stdio_server_and_all_else_stays() {
    let text = r#"{
  // My servers.
  "mcpServers": {
    "git": {
      "command": "uvx", // the launcher
      "args": [
        "mcp-server-git",
        "--repository", "/a \"b\"",
      ],
      "env": { "TOKEN": "x" }
    },
    "plain": {"args": [], "command": "cat", "unknown": [1, 2]},
    "bare": {
      "command": "server"
    },
    "one": {"command":"npx","args":["-y","thing"]},
  },
  "other": {"command": "left alone"}
}
"#;
    let expected = r#"{
  // My servers.
  "mcpServers": {
    "git": {
      "command": "/opt/mcp-tap", // the launcher
      "args": [
        "--server=git",
        "--exporter",
        "http://e",
        "--",
        "uvx",
        "mcp-server-git",
        "--repository", "/a \"b\"",
      ],
      "env": { "TOKEN": "x" }
    },
    "plain": {"args": ["--server=plain", "--exporter", "http://e", "--", "cat"], "command": "/opt/mcp-tap", "unknown": [1, 2]},
    "bare": {
      "command": "/opt/mcp-tap",
      "args": ["--server=bare", "--exporter", "http://e", "--", "server"]
    },
    "one": {"command":"/opt/mcp-tap","args":["--server=one", "--exporter", "http://e", "--", "npx", "-y","thing"]},
  },
  "other": {"command": "left alone"}
}
"#;
    assert_eq!(wrapped(text), expected);
    assert_eq!(wrapped(expected), expected, "a second time changes nothing");
    assert_eq!(launch_in(expected), Some(launch()));
    let back = text.replace("\"server\"\n", "\"server\",\n      \"args\": []\n");
    assert_eq!(unwrapped(expected), back);
    assert_eq!(unwrapped(text), text);
}

#[test]
fn every_clients_form_is_known() {
    let text = r#"{"servers": {"a": {"type": "stdio", "command": "x"}},
        "projects": {"/home/me": {"mcpServers": {"b": {"command": "y"}}, "allowedTools": []}}}"#;
    let expected = [("a".to_owned(), Fate::Wrapped), ("b".to_owned(), Fate::Wrapped)];
    assert_eq!(fates(text), expected);
    assert_eq!(fates("{}"), []);
    assert_eq!(fates("[]"), []);
}

#[test]
fn what_cannot_be_changed_safely_is_left_with_a_reason() {
    let fate = |server: &str| {
        let text = format!(r#"{{"mcpServers": {{"s": {server}}}}}"#);
        let plan = Plan::wrap(&text, &launch()).unwrap();
        assert_eq!(plan.edits, [], "{server}");
        plan.servers.into_iter().next().unwrap().1
    };
    assert_eq!(fate(r#"{"url": "http://h/mcp"}"#), Fate::Http("http://h/mcp".into()));
    assert_eq!(fate(r#"{"command": "mcp-tap", "args": ["--", "x"]}"#), Fate::Unchanged);
    for (server, word) in [
        ("{}", "neither"),
        ("7", "neither"),
        (r#"{"command": 1}"#, "no text"),
        (r#"{"command": "a", "command": "b"}"#, "twice"),
        (r#"{"command": "a", "args": "b"}"#, "no list"),
        (r#"{"command": "a", "args": ["b", 1]}"#, "no list"),
        (r#"{"command": "npx -y thing"}"#, "spaces"),
    ] {
        let Fate::Left(reason) = fate(server) else { panic!("{server}") };
        assert!(reason.contains(word), "{server}: {reason}");
    }
    let Fate::Left(reason) = &fates(r#"{"servers": {"": {"command": "x"}}}"#)[0].1 else {
        panic!()
    };
    assert!(reason.contains("its name"), "{reason}");
}

#[test]
fn a_comment_among_the_taps_words_is_not_lost() {
    let server = r#"{"command": "mcp-tap", "args": ["--server=s", /* mine */ "--", "x"]}"#;
    let text = format!(r#"{{"servers": {{"s": {server}}}}}"#);
    let plan = Plan::unwrap(&text).unwrap();
    assert!(matches!(plan.servers[0].1, Fate::Left(reason) if reason.contains("comment")));
    assert_eq!(plan.apply(&text), text);
    // Before the first and behind the last it stays where it is.
    let server = "{\"command\": \"mcp-tap\", \"args\": [ // mine\n \"--\", \"x\", // end\n ]}";
    let text = format!(r#"{{"servers": {{"s": {server}}}}}"#);
    let back = unwrapped(&text);
    assert!(back.contains("// mine") && back.contains("// end"), "{back}");
    parse(&back).unwrap();
}

proptest! {
    /// Whatever the words are, and however the text is laid out, wrapping changes what it says
    /// and nothing else, and taking the tap away gives the text again.
    #[test]
    fn there_and_back(
        name in "[a-z -]{1,8}",
        program in "[a-zé\"\\\\/]{1,8}",
        args in proptest::collection::vec("\\PC{0,8}", 0..4),
        pretty: bool,
    ) {
        prop_assume!(!is_tap(&program) && Name::new(name.clone()).is_ok());
        let value = json!({"x": 1.50, "mcpServers": {name.as_str(): {
            "command": program, "args": args, "env": {"A": "b"}}}});
        let text = if pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        let there = wrapped(&text);
        let server = serde_json::from_str::<Json>(&there).unwrap()["mcpServers"][&name].clone();
        prop_assert_eq!(&server["command"], "/opt/mcp-tap");
        let named = format!("--server={name}");
        let mut words = vec![named.as_str(), "--exporter", "http://e", "--", &program];
        words.extend(args.iter().map(String::as_str));
        prop_assert_eq!(&server["args"], &json!(words));
        prop_assert_eq!(unwrapped(&there), text);
    }

    /// Nothing that is read can break it, and what it writes can be read.
    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}\":,a/* \n\\\\]{0,40}") {
        if let Ok(plan) = Plan::wrap(&text, &launch()) {
            prop_assert!(parse(&plan.apply(&text)).is_ok());
        }
    }
}
