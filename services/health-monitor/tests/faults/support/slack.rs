//! A receiver that behaves as Slack: takes messages, refuses them as it is told, and knows what
//! people were told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use mcpmon_testkit::http_script::{Answer, Gate, HttpScript, Request};
use serde_json::Value;

use super::PATIENCE;

/// The secret part of the webhook: it may stand nowhere.
pub(crate) const WEBHOOK_SECRET: &str = "T0planted/B0planted/w3bh00kplanted";

/// What was said of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Opened,
    Recovered,
    OpenedAndRecovered,
    Reminder,
}

/// One line of a message that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// The message, counted from 0.
    pub(crate) message: usize,
    pub(crate) kind: Kind,
    /// `monitor` for the monitor itself.
    pub(crate) component: String,
    pub(crate) key: String,
    pub(crate) text: String,
}

#[derive(Debug)]
pub(crate) struct Slack {
    server: HttpScript,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    /// What the next messages are answered; then all are accepted.
    next: VecDeque<(Answer, bool)>,
    accepted: Vec<Value>,
}

impl Slack {
    pub(crate) fn start() -> Self {
        let plan = Arc::new(Mutex::new(Plan::default()));
        let shared = plan.clone();
        let server = HttpScript::start(move |request: &Request| {
            let mut plan = shared.lock().unwrap();
            let accept = || (Answer::status(200, "ok"), true);
            let (answer, accepted) = plan.next.pop_front().unwrap_or_else(accept);
            if accepted {
                plan.accepted.push(serde_json::from_slice(&request.body).unwrap());
            }
            answer
        });
        Self { server, plan }
    }

    pub(crate) fn webhook(&self) -> String {
        format!("{}/services/{WEBHOOK_SECRET}", self.server.url())
    }

    /// Answers the next message so, and the one after as planned after; people do not see it.
    pub(crate) fn refuse(&self, answer: Answer) {
        self.plan.lock().unwrap().next.push_back((answer, false));
    }

    /// Shows the next message to people, and says so once the gate opens.
    pub(crate) fn hold(&self, gate: &Gate) {
        let answer = Answer::status(200, "ok").after(gate);
        self.plan.lock().unwrap().next.push_back((answer, true));
    }

    /// Everything that people were told, in order.
    pub(crate) fn told(&self) -> Vec<Told> {
        let plan = self.plan.lock().unwrap();
        plan.accepted.iter().enumerate().flat_map(|(at, message)| lines(at, message)).collect()
    }

    /// The headlines of the messages.
    pub(crate) fn headlines(&self) -> Vec<String> {
        let plan = self.plan.lock().unwrap();
        plan.accepted.iter().map(|it| it["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Every byte of every request, for a search.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.server.requests().into_iter().flat_map(|request| request.body).collect()
    }

    /// Waits until somebody knocked so often.
    #[track_caller]
    pub(crate) fn wait_attempts(&self, attempts: usize) {
        self.server.wait_within(PATIENCE, |requests| requests.len() >= attempts);
    }

    /// Waits until what was told is enough.
    #[track_caller]
    pub(crate) fn wait(&self, enough: impl Fn(&[Told]) -> bool) -> Vec<Told> {
        self.server.wait_within(PATIENCE, |_| enough(&self.told()));
        self.told()
    }

    /// Waits until that was said of the component, and gives the line.
    #[track_caller]
    pub(crate) fn wait_for(&self, component: &str, kind: Kind) -> Told {
        let is = |told: &Told| told.component == component && told.kind == kind;
        let told = self.wait(|told| told.iter().any(is));
        told.into_iter().find(is).unwrap()
    }

    /// What was said of a component, in order.
    pub(crate) fn of(&self, component: &str) -> Vec<Kind> {
        let told = self.told().into_iter().filter(|told| told.component == component);
        told.map(|told| told.kind).collect()
    }

    /// Each incident was opened once and ended at most once, in this order; and when `all_over`
    /// each has ended.
    #[track_caller]
    pub(crate) fn assert_sound(&self, all_over: bool) {
        let mut by_key = BTreeMap::<String, Vec<Kind>>::new();
        for told in self.told() {
            by_key.entry(told.key).or_default().push(told.kind);
        }
        for (key, kinds) in by_key {
            let said: Vec<_> = kinds.into_iter().filter(|kind| *kind != Kind::Reminder).collect();
            let is_over =
                matches!(said[..], [Kind::Opened, Kind::Recovered] | [Kind::OpenedAndRecovered]);
            let is_open = said == [Kind::Opened] && !all_over;
            assert!(is_over || is_open, "{key}: {said:?}");
        }
    }
}

fn lines(message: usize, payload: &Value) -> Vec<Told> {
    let attachments = payload["attachments"].as_array().cloned().unwrap_or_default();
    attachments.iter().flat_map(|attachment| section(message, attachment)).collect()
}

fn section(message: usize, attachment: &Value) -> Vec<Told> {
    let title = attachment["fallback"].as_str().unwrap();
    let kind = match title {
        it if it.contains("still") => Kind::Reminder,
        it if it.contains("down and recovered") || it.contains("was degraded") => {
            Kind::OpenedAndRecovered
        }
        it if it.contains("recovered") || it.contains("well again") => Kind::Recovered,
        it if it.contains("down") || it.contains("degraded") => Kind::Opened,
        other => panic!("a title that nobody knows: {other}"),
    };
    let blocks = attachment["blocks"].as_array().unwrap();
    let texts = blocks.iter().filter_map(|block| block["text"]["text"].as_str());
    let lines = texts.flat_map(str::lines).filter(|line| line.starts_with('*'));
    lines.map(|line| told(message, kind, line)).collect()
}

/// `*component*: text (since …) `key``
fn told(message: usize, kind: Kind, line: &str) -> Told {
    let (component, rest) = line[1..].split_once("*: ").unwrap();
    let (text, rest) = rest.rsplit_once(" (since ").unwrap();
    let key = rest.split('`').nth(1).unwrap();
    Told { message, kind, component: component.into(), key: key.into(), text: text.into() }
}
