//! `maintenance` and `ack`: asks the running monitor, which writes it where all replicas see it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mcp_health_monitor::outside;
use mcpmon_bootstrap::http::health::reachable;
use reqwest::{Method, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::arguments::{Command, Maintenance};

/// Does what the command says.
///
/// # Errors
/// When the monitor cannot be asked, or refuses.
pub(crate) async fn run(command: &Command, monitor: SocketAddr, tokens: Tokens) -> Result<()> {
    let asked = Monitor { address: reachable(monitor), tokens };
    match command {
        Command::Ack { component } => {
            let path = format!("/api/v1/components/{component}/ack");
            let reply = asked.send(Method::POST, &path, None).await?;
            let said = match reply["acknowledged"].as_bool() {
                Some(true) => "its trouble is acknowledged: no reminders",
                _ => "it is in no trouble",
            };
            let forgotten = reply["tools_forgotten"].as_array().map_or(0, Vec::len);
            say(&format!("{component}: {said}; {forgotten} vanished tools forgotten"));
        }
        Command::Maintenance { command: Maintenance::Start { component, duration, reason } } => {
            let window = json!({
                "component": component, "seconds": duration.as_secs_f64(), "reason": reason,
            });
            asked.send(Method::POST, "/api/v1/maintenance", Some(&window)).await?;
            let time = humantime::format_duration(*duration);
            say(&format!("{component}: in maintenance for {time}"));
        }
        Command::Maintenance { command: Maintenance::End { component } } => {
            let path = format!("/api/v1/maintenance/{component}");
            asked.send(Method::DELETE, &path, None).await?;
            say(&format!("{component}: maintenance ended"));
        }
        Command::Maintenance { command: Maintenance::List } => {
            let reply = asked.send(Method::GET, "/api/v1/maintenance", None).await?;
            let windows = reply["maintenance"].as_object().cloned().unwrap_or_default();
            if windows.is_empty() {
                say("no maintenance window is open");
            }
            for (component, window) in windows {
                let until = Duration::from_millis(window["until"].as_u64().unwrap_or_default());
                let until = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + until);
                let reason = window["reason"].as_str().unwrap_or_default();
                say(&format!("{component}: until {until}, {reason}"));
            }
        }
    }
    Ok(())
}

/// The running monitor's own: looking and changing have a scope each.
pub(crate) struct Tokens {
    pub(crate) read: Option<SecretString>,
    pub(crate) operate: Option<SecretString>,
}

struct Monitor {
    address: SocketAddr,
    tokens: Tokens,
}

impl Monitor {
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("http://{}{path}", self.address);
        let client = outside::plain_client().map_err(anyhow::Error::msg)?;
        let Tokens { read, operate } = &self.tokens;
        let token = if method == Method::GET { read } else { operate };
        let mut request = client.request(method, &url);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let asked = || format!("the monitor at http://{} cannot be asked", self.address);
        reply(request.send().await.with_context(asked)?).await
    }
}

async fn reply(response: Response) -> Result<Value> {
    let status = response.status();
    let body = response.bytes().await?;
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() {
        let detail = value["detail"].as_str().unwrap_or("without a word");
        bail!("the monitor answers {status}: {detail}");
    }
    Ok(value)
}

#[expect(clippy::print_stdout, reason = "an operator reads it")]
fn say(line: &str) {
    println!("{line}");
}
