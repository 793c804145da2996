//! Kind `redis`: whether it answers PING, and whether it would take a write.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, InfoDict,
    IntoConnectionInfo, RedisError, cmd,
};
use mcpmon_coordination::incident::Failure;
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout};

use super::{Keys, Probe, dns, own_time, tcp};
use crate::finding::Finding;

const URL: &str = "Where Redis is: `redis://[user[:password]@]host[:port][/db]`.";

/// Its `Debug` shows no password: that of the connection's settings leaves it out.
#[derive(Debug)]
struct Redis {
    info: ConnectionInfo,
    writable: bool,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Probe>> {
    let known = keys.is_set("url") || keys.is_set("url_file");
    let url = keys.secret("url", URL);
    let writable = keys.value(
        "writable",
        true,
        "Whether it must take writes: if it would refuse them, it is degraded. For a replica false.",
    );
    if !known {
        keys.reject("url", format!("is not set; {URL}"));
    }
    match info(url?.expose_secret()) {
        Ok(info) => Some(Box::new(Redis { info, writable })),
        Err(problem) => {
            keys.reject("url", problem);
            None
        }
    }
}

/// No error of it shows the URL, which may hold a password.
fn info(url: &str) -> Result<ConnectionInfo, &'static str> {
    const WRONG: &str =
        "is no URL of a Redis; expected one such as redis://user:password@host:6379";
    if url.starts_with("rediss://") {
        return Err("asks for TLS, which we do not speak with Redis; expected redis://");
    }
    url.into_connection_info().map_err(|_| WRONG)
}

#[async_trait]
impl Probe for Redis {
    async fn check(&self, deadline: Duration) -> Finding {
        let (limit, asked_at) = (own_time(deadline), Instant::now());
        let asked = format!("PING {}", self.info.addr());
        let places = match self.places(limit, &asked).await {
            Ok(places) => places,
            Err(finding) => return finding,
        };
        let rest = limit.saturating_sub(asked_at.elapsed());
        match timeout(rest, self.ask(&places)).await {
            Ok(Ok((latency, refuses))) => match refuses {
                Some(why) if self.writable => {
                    Finding::ok(latency).warn(format!("{asked}: it refuses writes: {why}"))
                }
                _ => Finding::ok(latency),
            },
            Ok(Err(error)) => failed(&asked, &error),
            Err(_) => Finding::fail(
                Failure::Timeout,
                format!("{asked}: no answer within {} s", limit.as_secs_f64()),
            ),
        }
    }
}

impl Redis {
    /// The places to try: our own lookup tells whose fault it is when there is none.
    async fn places(&self, limit: Duration, asked: &str) -> Result<Vec<ConnectionInfo>, Finding> {
        let ConnectionAddr::Tcp(host, port) = self.info.addr() else {
            return Ok(vec![self.info.clone()]);
        };
        let found = dns::addresses(host, *port, limit, asked).await?;
        let at = |ip: String| self.info.clone().set_addr(ConnectionAddr::Tcp(ip, *port));
        Ok(found.into_iter().map(|address| at(address.ip().to_string())).collect())
    }

    /// How long PING took, from the connection on, and why a write would be refused, if so.
    async fn ask(
        &self,
        places: &[ConnectionInfo],
    ) -> Result<(Duration, Option<String>), RedisError> {
        let start = Instant::now();
        let mut connection = connect(places).await?;
        cmd("PING").query_async::<String>(&mut connection).await?;
        let latency = start.elapsed();
        if !self.writable {
            return Ok((latency, None));
        }
        // A user who may only PING is no reason for a warning.
        let info = cmd("INFO").query_async::<InfoDict>(&mut connection).await;
        Ok((latency, info.ok().as_ref().and_then(refuses_writes)))
    }
}

async fn connect(places: &[ConnectionInfo]) -> Result<MultiplexedConnection, RedisError> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let mut last = None;
    for place in places {
        match Client::open(place.clone())?
            .get_multiplexed_async_connection_with_config(&config)
            .await
        {
            Ok(connection) => return Ok(connection),
            Err(error) => last = Some(error),
        }
    }
    let nowhere = || io::Error::new(io::ErrorKind::NotFound, "the name has no address").into();
    Err(last.unwrap_or_else(nowhere))
}

fn refuses_writes(info: &InfoDict) -> Option<String> {
    let text = |key| info.get::<String>(key);
    let is = |key, value: &str| text(key).is_some_and(|found| found == value);
    let number = |key| info.get::<u64>(key).unwrap_or(0);
    if is("role", "slave") && is("slave_read_only", "1") {
        return Some("it is a read-only replica (READONLY)".to_owned());
    }
    let (used, most) = (number("used_memory"), number("maxmemory"));
    if most > 0 && used > most && is("maxmemory_policy", "noeviction") {
        return Some(format!("it uses {used} of {most} bytes and evicts nothing (OOM)"));
    }
    if is("aof_enabled", "1") && is("aof_last_write_status", "err") {
        return Some("its last write to the append-only file failed (MISCONF)".to_owned());
    }
    None
}

fn failed(asked: &str, error: &RedisError) -> Finding {
    let (code, detail) = (error.code().unwrap_or_default(), error.detail().unwrap_or_default());
    let told = |what: &str| {
        let answer = format!("{code} {detail}");
        match answer.trim() {
            "" => format!("{asked}: {what}: {error}"),
            answer => format!("{asked}: {what}: {answer}"),
        }
    };
    match code {
        "NOAUTH" => Finding::fail(Failure::AuthRequired, told("it wants a log-in")),
        "WRONGPASS" | "NOPERM" => Finding::fail(Failure::AuthRequired, told("it lets us not in")),
        "LOADING" => Finding::fail(Failure::Other, told("it still loads its data")),
        "READONLY" => Finding::fail(Failure::Other, told("it takes no writes")),
        "OOM" => Finding::fail(Failure::Other, told("it is out of memory")),
        "BUSY" => Finding::fail(Failure::Other, told("a script keeps it busy")),
        "MASTERDOWN" => Finding::fail(Failure::Other, told("it has lost its primary")),
        _ if error.kind() == ErrorKind::AuthenticationFailed => {
            Finding::fail(Failure::AuthRequired, told("it lets us not in"))
        }
        _ if error.is_timeout() => Finding::fail(Failure::Timeout, told("no answer in time")),
        _ => match fault(error) {
            Some(fault) => tcp::refused(asked, fault),
            None => Finding::fail(Failure::Other, told("it gives an error")),
        },
    }
}

/// The fault of the connection behind an error, which the library keeps in an `Arc`.
fn fault(error: &RedisError) -> Option<&io::Error> {
    error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?.downcast_ref()
}

#[cfg(test)]
mod tests;
