//! The keys of a component of kind `mcp`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use mcpmon_bootstrap::http::client::may_hold_password;
use mcpmon_mcp_client::{Canary, Command, Connector, Target, Url};
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::Mcp;
use crate::probe::{Keys, Probe};

const COMMAND: &str = "The server's program and its arguments, for a server that speaks over standard input and \
     output, such as `[\"uvx\", \"mcp-server-git\"]`. It is started once and kept.";
const URL: &str = "The server's Streamable HTTP endpoint, such as `http://localhost:8000/mcp`.";

const START_TIMEOUT: Duration = Duration::from_secs(15);
const LONGEST_START: Duration = Duration::from_secs(300);

pub(in crate::probe) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Probe>> {
    let command = keys.optional_checked("command", COMMAND, command);
    // The outer error shows the value, which must not happen once it may hold a password; so such
    // a value passes, and is refused below.
    let url = keys.optional_checked("url", URL, |text: String| {
        if may_hold_password(&text) { Ok(None) } else { url(text).map(Some) }
    });
    let token = keys.secret("token", "Sent to `url` as a bearer token.");
    let env =
        keys.optional("env", "Variables for `command`; it inherits only PATH, HOME and such.");
    let cwd = keys.optional("cwd", "The folder in which `command` runs.");
    let tools = keys.value(
        "tools",
        Vec::<String>::new(),
        "Tools that must be listed; else the component has failed with `tools_missing`.",
    );
    let start_timeout = keys.seconds(
        "start_timeout_seconds",
        START_TIMEOUT,
        Duration::from_millis(100)..=LONGEST_START,
        "How long `command` may take to start and answer; later checks have the usual deadline.",
    );
    let canary = canary(keys);
    if url.as_ref().is_some_and(Option::is_none) {
        keys.reject("url", "holds a user or a password; put a secret into `token`");
    }
    let target = target(keys, command, url.flatten(), token, env, cwd)?;
    let is_program = matches!(target, Target::Command(_));
    let connector = Connector::new(target)
        .map_err(|fault| keys.reject("url", format!("cannot be asked: {fault}")))
        .ok()?;
    Some(Box::new(Mcp {
        connector,
        is_program,
        start_timeout,
        tools,
        canary,
        session: Mutex::new(None),
    }))
}

/// Exactly one of the two transports, with the keys that belong to it.
fn target(
    keys: &mut Keys<'_>,
    command: Option<(String, Vec<String>)>,
    url: Option<String>,
    token: Option<SecretString>,
    env: Option<BTreeMap<String, String>>,
    cwd: Option<PathBuf>,
) -> Option<Target> {
    let is_set = |keys: &Keys<'_>, key| keys.is_set(key);
    match (is_set(keys, "command"), is_set(keys, "url")) {
        (true, true) => keys.reject("url", "is set beside `command`; keep one of the two"),
        (false, false) => {
            keys.reject(
                "command",
                "is not set; a component of kind `mcp` needs `command` or `url`",
            );
        }
        (true, false) if token.is_some() => {
            keys.reject("token", "goes with `url`; give a program its secrets in `env`");
        }
        (false, true) => {
            for key in ["env", "cwd"] {
                if is_set(keys, key) {
                    keys.reject(key, "goes with `command`, and `url` is set");
                }
            }
        }
        (true, false) => {}
    }
    match (command, url) {
        (Some((program, arguments)), None) => {
            let env = env.unwrap_or_default();
            Some(Target::Command(Command { program, arguments, env, cwd }))
        }
        (None, Some(url)) => Some(Target::Url(Url { url, token })),
        _ => None,
    }
}

fn canary(keys: &mut Keys<'_>) -> Option<Canary> {
    let is_set = keys.is_set("canary");
    let tool = keys.optional::<String>(
        "canary.tool",
        "A tool that each check calls, to see that it works and not only that it is listed.",
    );
    let arguments = keys.optional::<Map<String, Value>>("canary.arguments", "Its arguments.");
    let expect_contains = keys.optional(
        "canary.expect_contains",
        "What the text of its answer must hold; without it, any answer will do that is no error.",
    );
    let allow_writes = keys.value(
        "canary.allow_writes",
        false,
        "Call it although the server does not say that it is read-only.",
    );
    if is_set && tool.is_none() {
        keys.reject("canary.tool", "is not set; a canary needs the name of a tool");
    }
    let arguments = arguments.unwrap_or_default();
    Some(Canary { tool: tool?, arguments, expect_contains, allow_writes })
}

fn command(words: Vec<String>) -> Result<(String, Vec<String>), String> {
    let mut words = words.into_iter();
    match words.next() {
        Some(program) if !program.trim().is_empty() => Ok((program, words.collect())),
        _ => Err("is empty; expected a program and its arguments".to_owned()),
    }
}

fn url(text: String) -> Result<String, String> {
    let example = "such as `http://localhost:8000/mcp`";
    let parsed = reqwest::Url::parse(&text)
        .map_err(|error| format!("{error}; expected an address {example}"))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(format!("expected an address with http or https, {example}"));
    }
    Ok(text)
}
