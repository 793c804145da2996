//! Runs the outbox: whichever replica holds the lease `notify` looks, sends, and writes down what
//! arrived.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_coordination::{Holder, Key, Lease, Store, store};
use mcpmon_metrics::{Counter, Metrics, catalogue};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::channel::{Channel, Delivery, Log};
use super::message::Message;
use super::retry::Retry;
use super::step::{Policy, Step, step};
use super::{Known, Notices};
use crate::clock;
use crate::outside;
use crate::slack::{Slack, SlackConfig};
use crate::snapshot::Snapshot;

/// Longer than a message may take: who holds it to four fifths can send without another doing the
/// same.
const LEASE: Duration = Duration::from_secs(20);

/// Whoever cannot ask for the lease for so long goes on alone; another's lease is over by then.
const ALONE_AFTER: Duration = Duration::from_secs(30);

/// How often who tells alone asks whether that is over.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// How often the store is read when nothing else happens: other replicas find troubles too.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The shortest time between two looks: each check of hundreds makes a new snapshot.
const PAUSE: Duration = Duration::from_millis(250);

/// Tells people, once.
pub struct Notifier {
    store: Arc<dyn Store>,
    holder: Holder,
    policy: Policy,
    channel: Box<dyn Channel>,
    counters: BTreeMap<&'static str, Counter>,
    /// Unix milliseconds.
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// What [`Notifier::flush`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flushed {
    /// How many incidents people were told something of.
    pub sent: usize,
    /// The keys of the incidents of which something is still to be told.
    pub unsent: Vec<String>,
    /// Why, in words.
    pub why: Option<String>,
}

/// What one run knows beside the store.
#[derive(Debug, Default)]
struct Session {
    right: Right,
    /// When the lease was last asked for, or lengthened.
    asked_at: Option<Instant>,
    /// Since when the lease cannot be asked for.
    unanswered_since: Option<Instant>,
    retry: Retry,
    /// What arrived and could not be written down: told to nobody again.
    unwritten: Notices,
    /// What is wrong with the store, as it was logged last.
    store_trouble: Option<String>,
}

/// Whether this replica tells.
#[derive(Debug, Default)]
enum Right {
    #[default]
    None,
    Lease(Lease),
    /// Nobody can be asked, so every replica tells what it knows.
    Alone,
}

/// What one look gave.
#[derive(Debug, Default)]
struct Round {
    sent: usize,
    unsent: Vec<String>,
    /// Another replica tells.
    elsewhere: bool,
    /// When to look again at the latest.
    again: Duration,
    why: Option<String>,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holder, policy, channel, .. } = self;
        f.debug_struct("Notifier")
            .field("holder", holder)
            .field("policy", policy)
            .field("channel", channel)
            .finish_non_exhaustive()
    }
}

impl Notifier {
    /// A notifier to Slack, or to the log without a webhook.
    ///
    /// # Errors
    /// When the machine's trust store cannot be used; in words.
    pub fn new(
        store: Arc<dyn Store>,
        holder: Holder,
        config: &SlackConfig,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        let channel: Box<dyn Channel> = match Slack::new(config)? {
            Some(slack) => Box::new(slack),
            None => Box::new(Log),
        };
        let policy = Policy { group: config.group, reminder: config.reminder };
        Ok(Self::with(store, holder, policy, channel, metrics, Box::new(clock::now)))
    }

    /// A notifier with a channel and a clock of one's own; the clock gives Unix milliseconds.
    #[must_use]
    pub fn with(
        store: Arc<dyn Store>,
        holder: Holder,
        policy: Policy,
        channel: Box<dyn Channel>,
        metrics: &Metrics,
        clock: Box<dyn Fn() -> u64 + Send + Sync>,
    ) -> Self {
        let counter =
            |result| (result, metrics.counter(catalogue::HEALTH_ALERTS, &[channel.name(), result]));
        let counters = ["sent", "failed", "rate_limited", "rejected"].map(counter).into();
        Self { store, holder, policy, channel, counters, clock }
    }

    /// Tells until `stop`. A message that is on its way is waited for; what waits to be told is
    /// told by the next replica, or after the next start.
    pub async fn run(
        self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        stop: impl Future<Output = ()> + Send,
    ) {
        let mut stop = pin!(stop);
        let mut session = Session::default();
        let mut more_to_come = true;
        loop {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            let round = self.look(&mut session, &snapshot, self.policy, ALONE_AFTER).await;
            let looked_at = Instant::now();
            tokio::select! {
                () = &mut stop => break,
                () = sleep(round.again) => {}
                changed = snapshots.changed(), if more_to_come => more_to_come = changed.is_ok(),
            }
            tokio::select! {
                () = &mut stop => break,
                () = sleep_until(looked_at + PAUSE) => {}
            }
        }
        self.end(session).await;
    }

    /// Sends what is pending now, without waiting for more, and says what could not be sent before
    /// `deadline`.
    pub async fn flush(&self, snapshot: &Snapshot, deadline: Instant) -> Flushed {
        let policy = Policy { group: Duration::ZERO, ..self.policy };
        let mut session = Session::default();
        let mut flushed = Flushed::default();
        loop {
            let look = self.look(&mut session, snapshot, policy, Duration::ZERO);
            let Ok(round) = tokio::time::timeout_at(deadline, look).await else {
                flushed.why = Some("no answer before the deadline".to_owned());
                flushed.unsent = Vec::new();
                break;
            };
            if round.elsewhere {
                // A running monitor tells; a command need not wait for it.
                return Flushed { sent: flushed.sent, ..Flushed::default() };
            }
            flushed.sent += round.sent;
            flushed.unsent = round.unsent;
            flushed.why = round.why;
            let is_done = flushed.unsent.is_empty() && flushed.why.is_none();
            if is_done || Instant::now() + round.again >= deadline {
                break;
            }
            sleep(round.again).await;
        }
        if flushed.why.is_some() && flushed.unsent.is_empty() {
            flushed.unsent = self.pending(snapshot, policy).await;
        }
        self.end(session).await;
        flushed
    }

    /// What would be sent now.
    async fn pending(&self, snapshot: &Snapshot, policy: Policy) -> Vec<String> {
        let Ok(known) = Known::read(&*self.store).await else { return Vec::new() };
        let step = self.step(snapshot, &known, policy);
        step.message.as_ref().map(keys).unwrap_or_default()
    }

    /// One look: learns, writes what it learned, and sends what is due.
    async fn look(
        &self,
        session: &mut Session,
        snapshot: &Snapshot,
        policy: Policy,
        alone_after: Duration,
    ) -> Round {
        if !self.may_tell(session, alone_after).await {
            // What we said before must be known to whoever tells now.
            if let Err(error) = self.write_down(session).await {
                tracing::debug!(%error, "what was said is not written down yet");
            }
            return Round { again: LOOK_EVERY, elsewhere: true, ..Round::default() };
        }
        let round = self.tell(session, snapshot, policy).await;
        let trouble = round.as_ref().err().map(ToString::to_string);
        if let Some(trouble) =
            trouble.as_ref().filter(|new| session.store_trouble.as_ref() != Some(new))
        {
            tracing::warn!(trouble, "the outbox cannot be read or written");
        }
        session.store_trouble = trouble;
        let why = session.store_trouble.clone();
        round.unwrap_or(Round { again: LOOK_EVERY, why, ..Round::default() })
    }

    async fn tell(
        &self,
        session: &mut Session,
        snapshot: &Snapshot,
        policy: Policy,
    ) -> Result<Round, store::Error> {
        self.write_down(session).await?;
        let known = Known::read(&*self.store).await?;
        let step = self.step(snapshot, &known, policy);
        for notice in &step.changed {
            super::write(&*self.store, notice, (self.clock)()).await?;
        }
        for key in &step.dropped {
            super::remove(&*self.store, key).await?;
        }
        let ahead = step.look_again_at.map(|at| at.saturating_sub((self.clock)()));
        let ahead = ahead.map_or(LOOK_EVERY, Duration::from_millis);
        let mut round = Round { again: ahead.clamp(PAUSE, LOOK_EVERY), ..Round::default() };
        let Some(message) = step.message else { return Ok(round) };

        let now = Instant::now();
        if let Some(at) = session.retry.wait_until(now) {
            round.again = at.duration_since(now).min(LOOK_EVERY);
        } else if self.may_send(session).await {
            let delivery = self.channel.deliver(&message, session.retry.plain()).await;
            let now = Instant::now();
            self.count(&delivery);
            session.retry.note(&delivery, self.channel.name(), now, fastrand::f64());
            if delivery == Delivery::Sent {
                let at = (self.clock)();
                let arrived = message.items.iter().map(|item| item.arrived(at));
                session.unwritten.extend(arrived.map(|notice| (notice.key(), notice)));
                round.sent = message.items.len();
                self.write_down(session).await?;
                return Ok(round);
            }
            let at = session.retry.wait_until(now).unwrap_or(now);
            round.again = at.duration_since(now).min(LOOK_EVERY);
        }
        round.unsent = keys(&message);
        round.why = Some(session.retry.trouble().unwrap_or("another replica tells").to_owned());
        Ok(round)
    }

    fn step(&self, snapshot: &Snapshot, known: &Known, policy: Policy) -> Step {
        let Known { incidents, news, notices } = known;
        step(snapshot, incidents, news, notices, (self.clock)(), policy)
    }

    /// Writes what arrived. Until it is written nothing else is sent, or it would be sent twice.
    async fn write_down(&self, session: &mut Session) -> Result<(), store::Error> {
        while let Some((key, notice)) = session.unwritten.first_key_value() {
            let key = key.clone();
            super::write(&*self.store, notice, (self.clock)()).await?;
            session.unwritten.remove(&key);
        }
        Ok(())
    }

    fn count(&self, delivery: &Delivery) {
        let result = match delivery {
            Delivery::Sent => "sent",
            Delivery::RateLimited(_) => "rate_limited",
            Delivery::Rejected(_) | Delivery::Misunderstood(_) => "rejected",
            Delivery::Failed(_) => "failed",
        };
        self.counters[result].add(1);
    }

    /// Whether this replica tells; asks for the lease, or lengthens it when it is time.
    async fn may_tell(&self, session: &mut Session, alone_after: Duration) -> bool {
        let now = Instant::now();
        if let Right::Lease(lease) = &mut session.right {
            let fresh = session.asked_at.is_some_and(|at| now < at + lease.renew_every());
            if fresh && lease.still_held(now) {
                return true;
            }
            match lease.renew(&*self.store).await {
                Ok(true) => {
                    session.asked_at = Some(now);
                    session.unanswered_since = None;
                    return true;
                }
                // No answer: the old end stays.
                Err(_) if lease.still_held(Instant::now()) => {
                    session.unanswered_since.get_or_insert(now);
                    return true;
                }
                Ok(false) | Err(_) => session.right = Right::None,
            }
        }
        // A Redis that is frozen takes seconds for each question.
        let asked_lately = session.asked_at.is_some_and(|at| now < at + ASK_EVERY);
        if matches!(session.right, Right::Alone) && asked_lately {
            return true;
        }
        session.asked_at = Some(now);
        match Lease::acquire(&*self.store, &name(), &self.holder, LEASE).await {
            Ok(lease) => {
                session.unanswered_since = None;
                session.right = lease.map_or(Right::None, Right::Lease);
            }
            Err(error) => {
                let since = *session.unanswered_since.get_or_insert(now);
                if now.duration_since(since) >= alone_after {
                    if !matches!(session.right, Right::Alone) {
                        tracing::warn!(%error, "this replica tells by itself");
                    }
                    session.right = Right::Alone;
                }
            }
        }
        !matches!(session.right, Right::None)
    }

    /// Whether the right lasts for one message more.
    async fn may_send(&self, session: &mut Session) -> bool {
        match &mut session.right {
            Right::None => false,
            Right::Alone => true,
            Right::Lease(lease) => {
                if lease.still_held(Instant::now() + outside::TIMEOUT) {
                    return true;
                }
                let renewed = lease.renew(&*self.store).await;
                session.asked_at = renewed.is_ok().then(Instant::now).or(session.asked_at);
                lease.still_held(Instant::now() + outside::TIMEOUT)
            }
        }
    }

    async fn end(&self, session: Session) {
        if let Right::Lease(lease) = session.right
            && let Err(error) = lease.release(&*self.store).await
        {
            tracing::debug!(%error, "the lease to notify ends by itself");
        }
    }
}

fn keys(message: &Message) -> Vec<String> {
    message.items.iter().map(|item| item.notice.key()).collect()
}

fn name() -> Key {
    Key::new(&["notify"])
}
