//! A real Redis that freezes, dies, forgets, turns read-only and fills up: every operation ends, an
//! error is one that may pass, and what was decided stays decided.

#![allow(clippy::unwrap_used, reason = "a broken assumption fails the test")]

mod leases;
mod loss;
mod refusal;
mod shadow;
mod strict;

use std::time::Duration;

use mcpmon_coordination::streak::{CheckResult, report};
use mcpmon_coordination::{Error, Key, Redis, RedisConfig, Store};
use mcpmon_testkit::redis_server::RedisServer;
use tokio::time::{Instant, timeout};

const LONG: Duration = Duration::from_secs(60);

fn config(server: &RedisServer) -> RedisConfig {
    let mut config = RedisConfig::new(server.url());
    config.response_timeout = Duration::from_millis(200);
    config.connect_timeout = Duration::from_millis(300);
    config
}

fn connect(server: &RedisServer) -> Redis {
    Redis::new(&config(server)).unwrap()
}

fn key(name: &str) -> Key {
    Key::new(&["test", name])
}

async fn fail(store: &dyn Store, slot: u64) -> Result<u32, Error> {
    let history = report(store, "api", slot, CheckResult::Fail).await?;
    Ok(history.consecutive_failures())
}

/// The error, which came within the deadline and may pass.
async fn refused<T: std::fmt::Debug>(
    config: &RedisConfig,
    operation: impl Future<Output = Result<T, Error>>,
) -> Error {
    // The margin is for a busy machine; without a bound this would wait for ever.
    let bounded = timeout(config.deadline() * 4, operation).await.expect("it ends");
    let error = bounded.expect_err("Redis refuses");
    assert!(error.is_transient(), "{error}");
    error
}

/// Asks until Redis is back.
async fn recovered<T, F: Future<Output = Result<T, Error>>>(operation: impl Fn() -> F) -> T {
    let began = Instant::now();
    loop {
        match operation().await {
            Ok(value) => return value,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "{error}"),
        }
    }
}
