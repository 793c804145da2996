//! Alertmanager's webhook: a firing alert that names a component opens its incident, or joins the
//! one that is open; a resolved one ends what was opened by alerts.

use std::collections::BTreeMap;

use mcpmon_coordination::incident::{self, Failure, Opened, Origin};
use mcpmon_coordination::inventory::Member;
use mcpmon_coordination::{Incident, Store, store};
use mcpmon_metrics::redact;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// The version of the payload that we know.
const VERSION: &str = "4";
const MOST_ALERTS: usize = 1_000;
const LONGEST_TEXT: usize = 300;
const MOST_LABELS: usize = 20;

/// Alertmanager's body, version 4; keys that are not used here are left out.
#[derive(Debug, Deserialize)]
pub struct Notification {
    pub version: String,
    pub alerts: Vec<Alert>,
}

/// One alert.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    pub status: Status,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    pub starts_at: String,
    #[serde(default)]
    pub ends_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Firing,
    Resolved,
}

/// What became of one alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    Opened(Incident),
    /// The component had an open incident, or this one is over already.
    Known(Incident),
    Resolved {
        component: String,
        ended: bool,
    },
    /// Nothing says which component it is about.
    NoComponent,
}

impl Notification {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(body).map_err(|error| {
            format!("this is no Alertmanager webhook body of version {VERSION}: {error}")
        })?;
        if read.version != VERSION {
            return Err(format!("`version` is `{}`; expected `{VERSION}`", short(&read.version)));
        }
        if read.alerts.len() > MOST_ALERTS {
            return Err(format!("{} alerts; at most {MOST_ALERTS} are taken", read.alerts.len()));
        }
        for alert in &read.alerts {
            alert.began()?;
        }
        Ok(read)
    }
}

impl Alert {
    /// When it began, in Unix milliseconds.
    fn began(&self) -> Result<u64, String> {
        let text = || {
            format!(
                "`startsAt` is `{}`; expected a time such as 2026-01-01T00:00:00Z",
                short(&self.starts_at)
            )
        };
        unix_milliseconds(&self.starts_at).ok_or_else(text)
    }

    /// The alert's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.labels.get("alertname").map_or("", String::as_str)
    }

    /// Its labels for the audit: not too many, not too long, without secrets.
    #[must_use]
    pub(crate) fn few_labels(&self) -> BTreeMap<String, String> {
        let labels = self.labels.iter().take(MOST_LABELS);
        let redacted = |name: &str, value: &str| {
            // A secret is known by what it is called.
            let said = short(&format!("{name}={}", short(value)));
            said.strip_prefix(&format!("{name}=")).unwrap_or("…").to_owned()
        };
        labels.map(|(name, value)| (short(name), redacted(name, value))).collect()
    }

    /// The component that it is about, which the monitor knows: by its label `component`, or else the
    /// one whose MCP server the label `server` names, or else that name itself.
    #[must_use]
    pub fn component<'a>(&'a self, inventory: &'a BTreeMap<String, Member>) -> Option<&'a str> {
        let label = |name: &str| self.labels.get(name).filter(|text| !text.is_empty());
        // What the monitor does not know cannot be verified; and anybody may write a label.
        let known = |name: &String| inventory.get_key_value(name).map(|(name, _)| name.as_str());
        if let Some(component) = label("component") {
            return known(component);
        }
        let server = label("server")?;
        let of = inventory.iter().find(|(_, member)| member.server.as_ref() == Some(server));
        of.map(|(name, _)| name.as_str()).or_else(|| known(server))
    }

    /// The failure in its label `failure`; `other` when there is none that is known.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let named = self.labels.get("failure").cloned().map(serde_json::Value::String);
        named.and_then(|name| serde_json::from_value(name).ok()).unwrap_or(Failure::Other)
    }

    /// The incident that it would open.
    #[must_use]
    pub fn incident(&self, inventory: &BTreeMap<String, Member>, now: u64) -> Option<Incident> {
        // An alert that began in our future has just begun.
        let began = self.began().map_or(now, |began| began.min(now));
        self.incident_since(inventory, began, now)
    }

    fn incident_since(
        &self,
        inventory: &BTreeMap<String, Member>,
        began: u64,
        now: u64,
    ) -> Option<Incident> {
        let component = self.component(inventory)?;
        let member = inventory.get(component);
        let kind = member.map_or("alert", |member| member.kind.as_str());
        let mut incident =
            Incident::new(component, kind, self.failure(), Origin::Alertmanager, began, now);
        if let Some(member) = member {
            incident.server.clone_from(&member.server);
            incident.group.clone_from(&member.group);
            incident.depends_on.clone_from(&member.depends_on);
        }
        let summary = self.annotations.get("summary").map_or("", String::as_str);
        incident.evidence.error = Some(short(&format!("{}: {summary}", self.name())));
        Some(incident)
    }
}

/// Takes in one alert. The same one again changes nothing.
///
/// # Errors
/// When the store cannot be asked: Alertmanager sends it again.
pub async fn receive(
    store: &dyn Store,
    inventory: &BTreeMap<String, Member>,
    alert: &Alert,
    clock: &Clock,
) -> Result<Received, store::Error> {
    let now = clock.now();
    let Some(incident) = alert.incident(inventory, now) else { return Ok(Received::NoComponent) };
    if alert.status == Status::Firing {
        return Ok(match incident::open(store, &incident).await? {
            Opened::New(incident) => Received::Opened(incident),
            Opened::Joined(incident) => Received::Known(incident),
            // It ended with another alert, or the monitor saw it well; this one fires still.
            Opened::Over => {
                let again = alert.incident_since(inventory, now, now);
                let again = again.unwrap_or(incident);
                match incident::open(store, &again).await? {
                    Opened::New(incident) => Received::Opened(incident),
                    Opened::Joined(_) | Opened::Over => Received::Known(again),
                }
            }
        });
    }
    let component = incident.component;
    // What the monitor sees is not over because an alert is.
    let ended =
        incident::resolve_sole(store, &component, now, Origin::Alertmanager).await?.is_some();
    Ok(Received::Resolved { component, ended })
}

/// An RFC 3339 time. Alertmanager writes the zone that Prometheus wrote.
fn unix_milliseconds(text: &str) -> Option<u64> {
    let sign = text.rfind(['+', '-']).filter(|at| *at >= "2026-01-01T".len());
    let (time, offset) = match sign {
        Some(at) => (format!("{}Z", text.get(..at)?), offset_minutes(text.get(at..)?)?),
        None => (text.to_owned(), 0),
    };
    let time = humantime::parse_rfc3339_weak(&time).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    let since = i64::try_from(since.as_millis()).ok()?;
    u64::try_from(since - offset * 60_000).ok()
}

/// The minutes of `+02:00`.
fn offset_minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let number = |text: &str, most: i64| -> Option<i64> {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &i64| digits && *number <= most)
    };
    let minutes = number(hours, 23)? * 60 + number(minutes, 59)?;
    Some(if text.starts_with('-') { -minutes } else { minutes })
}

pub(crate) fn short(text: &str) -> String {
    redact::message(text).chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(version: &str, starts_at: &str) -> String {
        format!(
            r#"{{"version":"{version}","receiver":"r","alerts":[{{"status":"firing","labels":{{
            "alertname":"McpServerDown","server":"boutique","failure":"timeout"}},"annotations":{{
            "summary":"down, token=abcdef1234567890"}},"startsAt":"{starts_at}","endsAt":"0001-01-01T00:00:00Z"}}]}}"#
        )
    }

    #[test]
    fn an_alert_finds_its_component() {
        let read = Notification::parse(body("4", "2026-01-01T00:00:00.5Z").as_bytes()).unwrap();
        let member: Member = serde_json::from_str(
            r#"{"kind":"mcp","server":"boutique","slot":1,"checked_at":1,"state":"healthy",
                "outcome":"ok","in_trouble":false,"consecutive_failures":0}"#,
        )
        .unwrap();
        let inventory = BTreeMap::from([("shop".to_owned(), member)]);
        let incident = read.alerts[0].incident(&inventory, u64::MAX / 2).unwrap();
        assert_eq!(incident.key, "shop@1767225600500");
        assert_eq!((incident.kind.as_str(), incident.failure), ("mcp", Failure::Timeout));
        assert!(!incident.evidence.error.unwrap().contains("abcdef"), "secrets are redacted");
        assert_eq!(read.alerts[0].component(&BTreeMap::new()), None, "nobody knows it");
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said() {
        for (body, said) in [
            ("{", "this is no Alertmanager webhook body of version 4"),
            (r#"{"version":"4"}"#, "missing field `alerts`"),
            (&*body("3", "2026-01-01T00:00:00Z"), "`version` is `3`; expected `4`"),
            (&*body("4", "yesterday"), "`startsAt` is `yesterday`; expected a time such as"),
        ] {
            let error = Notification::parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
