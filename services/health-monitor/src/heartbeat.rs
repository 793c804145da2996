//! The sign of life: a call to a URL outside, which raises the alarm when it stays away.
//!
//! It is sent only while checks end. A process that runs and checks nothing is dead to those who
//! rely on it.

use std::pin::pin;
use std::time::Duration;

use mcpmon_bootstrap::Settings;
use reqwest::Client;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::outside::{self, SecretUrl};

/// Where the sign of life goes, and how often.
#[derive(Debug, Clone)]
pub struct HeartbeatConfig {
    /// Without it there is none.
    pub url: Option<SecretUrl>,
    pub every: Duration,
}

/// Sends the signs of life.
#[derive(Debug)]
pub struct Heartbeat {
    url: SecretUrl,
    client: Client,
    every: Duration,
}

impl HeartbeatConfig {
    /// Reads the keys. What is wrong is noted in `settings`.
    pub fn read(settings: &mut Settings) -> Self {
        let url = SecretUrl::read(
            settings,
            "health_monitor.heartbeat_url",
            "Secret URL outside that is called while checks end, for instance of healthchecks.io; \
             it raises the alarm when the calls stay away.",
        );
        let every = settings.seconds(
            "health_monitor.heartbeat_seconds",
            Duration::from_secs(60),
            Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60),
            "How often the heartbeat URL is called.",
        );
        Self { url, every }
    }
}

impl Heartbeat {
    /// `None` without a URL.
    ///
    /// # Errors
    /// When the machine's trust store cannot be used; in words.
    pub fn new(config: &HeartbeatConfig) -> Result<Option<Self>, String> {
        let Some(url) = config.url.clone() else { return Ok(None) };
        let client = outside::client(&url)?;
        Ok(Some(Self { url, client, every: config.every }))
    }

    /// Sends until `stop`. `last_check` says when the last check ended; with `patience` over since
    /// then the checks are stuck, and nothing is sent. Before the first check the time counts
    /// from the start.
    pub async fn run(
        self,
        patience: impl Fn() -> Duration + Send,
        last_check: impl Fn() -> Option<Instant> + Send,
        stop: impl Future<Output = ()> + Send,
    ) {
        let mut stop = pin!(stop);
        let start = Instant::now();
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut last: Option<Result<(), String>> = None;
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = ticks.tick() => {}
            }
            let patience = patience();
            let alive = last_check().unwrap_or(start).elapsed() <= patience;
            let result = if alive {
                tokio::select! {
                    () = &mut stop => return,
                    result = self.beat() => result,
                }
            } else {
                Err(format!("no check ended within {} s", patience.as_secs()))
            };
            if last.as_ref() != Some(&result) {
                report(last.is_some(), &result);
                last = Some(result);
            }
        }
    }

    async fn beat(&self) -> Result<(), String> {
        let sent = self.client.get(self.url.url()).send().await;
        let status = sent.map_err(outside::describe_call)?.status();
        if status.is_success() { Ok(()) } else { Err(format!("the answer is {status}")) }
    }
}

/// Said once for each change, not for each beat.
fn report(again: bool, result: &Result<(), String>) {
    match result {
        Err(error) => tracing::warn!(error, "the heartbeat is not sent"),
        Ok(()) if again => tracing::info!("the heartbeat is sent again"),
        Ok(()) => tracing::info!("the heartbeat is sent"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mcpmon_testkit::http_script::{Answer, HttpScript};
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    fn heartbeat(url: &str) -> Heartbeat {
        let url = SecretUrl::for_tests(url);
        let config = HeartbeatConfig { url: Some(url), every: Duration::from_millis(10) };
        Heartbeat::new(&config).unwrap().unwrap()
    }

    #[tokio::test]
    async fn it_beats_while_checks_end() {
        let server = Arc::new(HttpScript::start(|_| Answer::status(200, "OK")));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(heartbeat(&format!("{}/ping/secret", server.url())).run(
            || Duration::from_secs(60),
            || Some(Instant::now()),
            async { drop(stopped.await) },
        ));
        let waiting = Arc::clone(&server);
        let requests = tokio::task::spawn_blocking(move || waiting.wait_for(|r| r.len() >= 3));
        let requests = requests.await.unwrap();
        assert!(requests.iter().all(|r| r.method == "GET" && r.path == "/ping/secret"));
        drop(stop);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn it_stays_away_when_no_check_ends() {
        let server = HttpScript::start(|_| Answer::status(200, "OK"));
        let (stop, stopped) = oneshot::channel::<()>();
        let asked = Arc::new(Semaphore::new(0));
        let counted = Arc::clone(&asked);
        let long_ago = Instant::now();
        tokio::time::sleep(Duration::from_millis(2)).await;
        let task = tokio::spawn(heartbeat(&server.url()).run(
            || Duration::from_millis(1),
            move || {
                counted.add_permits(1);
                Some(long_ago)
            },
            async { drop(stopped.await) },
        ));
        drop(asked.acquire_many(3).await.unwrap());
        drop(stop);
        task.await.unwrap();
        assert_eq!(server.requests().len(), 0);
    }

    #[tokio::test]
    async fn what_fails_is_said_without_the_url() {
        let server = HttpScript::start(|_| Answer::status(404, "gone"));
        let error = heartbeat(&format!("{}/ping/s3cret", server.url())).beat().await.unwrap_err();
        assert_eq!(error, "the answer is 404 Not Found");
        let nobody = {
            let server = HttpScript::start(|_| Answer::Close);
            format!("{}/ping/s3cret", server.url())
        };
        let error = heartbeat(&nobody).beat().await.unwrap_err();
        assert!(error.contains("refused") && !error.contains("s3cret"), "{error}");
    }
}
