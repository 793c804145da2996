//! What remediation has to say to people. It publishes, and the monitor, which has the outbox, tells.
//!
//! Each piece of news is the document `news:<id>`, which ends by itself after a day: what nobody
//! could be told by then is in the audit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::{Error, Key, Store};
use crate::typed::{self, Change};

/// How long the monitor may take to tell it.
pub const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// One thing to tell. Texts are in a person's words; the monitor redacts and shortens them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Chosen by the writer, the same for the same fact: it is told once.
    pub id: String,
    /// The component's name; of a storm [`crate::marks::ALL`].
    pub component: String,
    /// The incident's key, `<component>@<first_failed_at>`.
    pub incident: String,
    /// When that trouble began, in Unix milliseconds.
    pub first_failed_at: u64,
    /// When this happened, in Unix milliseconds.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// What else there is to say, for instance an error's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How long it took, the verification included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// What happened. An action is named in words, for instance `restart container boutique`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// The action helped, and that was verified.
    Repaired { action: String },
    /// It did not, or was refused; the detail says why.
    Failed { action: String },
    /// Nothing is left to try: a person must look.
    Escalated { why: String },
    /// The budget is spent; nothing is done until a person closes the circuit.
    CircuitOpen,
    /// A person stopped it, so it is left alone; the detail says how that shows.
    StoppedByOperator,
    /// A person must say yes before this time, in Unix milliseconds.
    AwaitingApproval { action: String, until: u64 },
    /// So many components are down at once: nothing is repaired.
    Storm { components: u32 },
    /// Whether the action was done is not known, as after a crash.
    Unknown { action: String },
}

/// Hands the news over to be told. The same call again changes nothing.
///
/// # Errors
/// When the store cannot be asked, or whether it was written is unknown.
pub async fn publish(store: &dyn Store, news: &News) -> Result<(), Error> {
    let key = Key::new(&["news", &news.id]);
    typed::change(store, &key, |stored: Option<typed::Placed<News>>| match stored {
        Some(_) => Change::Keep(()),
        None => {
            let (value, ttl) = (news.clone(), Some(TTL));
            Change::Write { position: news.at, value, ttl, result: () }
        }
    })
    .await
}

/// The news of the last day in the order in which it happened, told or not. What cannot be read is
/// left out and logged.
///
/// # Errors
/// When the store cannot be asked.
pub async fn list(store: &dyn Store) -> Result<Vec<News>, Error> {
    let news = typed::list::<News>(store, &Key::new(&["news"])).await?;
    let mut news: Vec<_> = news.into_values().collect();
    news.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    Ok(news)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    fn news(id: &str, at: u64, what: What) -> News {
        News {
            id: id.to_owned(),
            component: "api".to_owned(),
            incident: "api@1000".to_owned(),
            first_failed_at: 1_000,
            at,
            what,
            detail: None,
            took_ms: Some(12_000),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn news_is_kept_as_first_said_for_a_day() {
        let store = Memory::new();
        let action = || "restart container boutique".to_owned();
        let all = [
            What::Repaired { action: action() },
            What::Failed { action: action() },
            What::Escalated { why: "no action helped".to_owned() },
            What::CircuitOpen,
            What::StoppedByOperator,
            What::AwaitingApproval { action: action(), until: 9_000 },
            What::Storm { components: 12 },
            What::Unknown { action: action() },
        ];
        let said: Vec<_> = (1..)
            .zip(all)
            .map(|(place, what)| news(&format!("{}", 20 - place), 2_000 + place, what))
            .collect();
        for news in said.iter().rev() {
            publish(&store, news).await.unwrap();
        }
        publish(&store, &news("19", 9_999, What::CircuitOpen)).await.unwrap();
        assert_eq!(list(&store).await.unwrap(), said);
        tokio::time::advance(TTL).await;
        assert_eq!(list(&store).await.unwrap(), []);
    }

    #[test]
    fn it_is_stored_flat() {
        let storm = news("1", 2_000, What::Storm { components: 12 });
        assert_eq!(
            serde_json::to_value(storm).unwrap(),
            serde_json::json!({
                "id": "1", "component": "api", "incident": "api@1000", "first_failed_at": 1_000,
                "at": 2_000, "what": "storm", "components": 12, "took_ms": 12_000,
            })
        );
    }
}
