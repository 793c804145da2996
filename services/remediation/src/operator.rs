//! What an operator asks: the running service, at the address of the configuration.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};
use std::{fs, io};

use anyhow::{Context as _, Result, bail};
use mcp_remediation::audit::Record;
use mcp_remediation::clock::Clock;
use mcp_remediation::explain::{self, Answer, Question};
use mcp_remediation::monitor;
use mcp_remediation::policy::Policy;
use mcpmon_bootstrap::http::health::reachable;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::arguments::Command;

/// The tokens of the scopes; each is for its own alone.
pub(crate) struct Tokens {
    pub(crate) read: Option<SecretString>,
    pub(crate) operate: Option<SecretString>,
}

/// Does what the command says.
///
/// # Errors
/// When the service cannot be asked, or refuses.
pub(crate) async fn run(
    command: &Command,
    service: SocketAddr,
    tokens: Tokens,
    policy: &Policy,
) -> Result<()> {
    let service = Service { address: reachable(service), tokens };
    match command {
        Command::Explain { file, offline, json } => {
            return explain(&service, policy, file, *offline, *json).await;
        }
        Command::History { limit, before, json } => {
            let mut path = format!("/api/v1/audit?limit={limit}");
            if let Some(before) = before {
                write!(path, "&before={before}")?;
            }
            let reply = service.send(Method::GET, &path, None).await?;
            if *json {
                say(&serde_json::to_string_pretty(&reply)?);
                return Ok(());
            }
            let records: Vec<Record> = serde_json::from_value(reply["records"].clone())?;
            if records.is_empty() {
                say("nothing is on record");
            }
            records.iter().for_each(|record| say(&line(record)));
        }
        Command::Approve { key } => {
            service.send(Method::POST, "/api/v1/approve", Some(&json!({ "key": key }))).await?;
            say(&format!("{key}: approved"));
        }
        Command::Pause { component, duration, reason } => {
            let pause = json!({
                "component": component, "seconds": duration.as_secs_f64(), "reason": reason,
            });
            service.send(Method::POST, "/api/v1/maintenance", Some(&pause)).await?;
            let time = humantime::format_duration(*duration);
            say(&format!("{component}: paused for {time}"));
        }
        Command::Resume { component } => {
            let path = format!("/api/v1/maintenance/{}", segment(component));
            service.send(Method::DELETE, &path, None).await?;
            say(&format!("{component}: resumed"));
        }
        Command::CloseCircuit { component } => {
            let path = format!("/api/v1/circuits/{}/close", segment(component));
            service.send(Method::POST, &path, None).await?;
            say(&format!("{component}: the circuit is closed, the budget is whole again"));
        }
    }
    Ok(())
}

async fn explain(
    service: &Service,
    policy: &Policy,
    file: &str,
    offline: bool,
    json: bool,
) -> Result<()> {
    let mut text = Vec::new();
    if file == "-" {
        io::stdin().read_to_end(&mut text).context("standard input cannot be read")?;
    } else {
        text = fs::read(file).with_context(|| format!("{file} cannot be read"))?;
    }
    let question = Question::parse(&text).map_err(anyhow::Error::msg)?;
    let answers: Vec<Answer> = if offline {
        explain::offline(&question, policy, &Clock::default())
    } else {
        let body: Value = serde_json::from_slice(&text)?;
        match service.send(Method::POST, "/api/v1/explain", Some(&body)).await {
            Ok(reply) => serde_json::from_value(reply)?,
            Err(error) => {
                warn(&format!("{error:#}"));
                explain::offline(&question, policy, &Clock::default())
            }
        }
    };
    if json {
        say(&serde_json::to_string_pretty(&answers)?);
        return Ok(());
    }
    for answer in answers {
        say(answer.to_string().trim_end());
    }
    Ok(())
}

/// One record on one line.
fn line(record: &Record) -> String {
    let time = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(record.at));
    let event = &record.event;
    let mut line = format!("{:>6}  {time}  {}", record.seq, event.event);
    let about = event.attempt.as_ref().or(event.incident.as_ref()).or(event.component.as_ref());
    if let Some(about) = about {
        line.push_str("  ");
        line.push_str(about);
    }
    if let Some(verdict) = &event.verdict {
        line.push_str(&format!("  {verdict}"));
    }
    if let Some(action) = &event.action {
        line.push_str("  ");
        line.push_str(action);
    }
    if let Some(result) = event.result {
        line.push_str(": ");
        line.push_str(result.as_str());
    }
    if let Some(took) = event.took_ms {
        line.push_str(&format!(
            " after {}",
            humantime::format_duration(Duration::from_millis(took))
        ));
    }
    if let Some(note) = &event.note {
        line.push_str(&format!(" ({note})"));
    }
    line
}

/// A name as one part of a path.
fn segment(name: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut text = String::new();
    for byte in name.bytes() {
        match plain(&byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

struct Service {
    address: SocketAddr,
    tokens: Tokens,
}

impl Service {
    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = Url::parse(&format!("http://{}{path}", self.address))?;
        let client = monitor::client(&url).map_err(anyhow::Error::msg)?;
        let token = if method == Method::GET { &self.tokens.read } else { &self.tokens.operate };
        let mut request = client.request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let asked = || format!("the service at http://{} cannot be asked", self.address);
        let response = request.send().await.with_context(asked)?;
        let status = response.status();
        let body = response.bytes().await?;
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            let detail = value["detail"].as_str().unwrap_or("without a word");
            bail!("the service answers {status}: {detail}");
        }
        Ok(value)
    }
}

#[expect(clippy::print_stdout, reason = "an operator reads it")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "an operator reads it")]
fn warn(line: &str) {
    eprintln!("note: {line}");
}
