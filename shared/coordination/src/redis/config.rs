//! Where Redis is, and how long an operation may take.

use std::fmt;
use std::time::Duration;

use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{ConnectionInfo, IntoConnectionInfo};
use secrecy::{ExposeSecret, SecretString};

/// What [`super::Redis::new`] needs.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user[:password]@]host[:port][/db]`; secret, for it may hold a password.
    pub url: SecretString,
    /// The first part of every key.
    pub prefix: String,
    /// For a new connection, the log-in included.
    pub connect_timeout: Duration,
    /// For one reply. A frozen Redis is noticed after this time.
    pub response_timeout: Duration,
}

/// The URL is none of Redis. Says nothing of the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("this is no URL of a Redis, such as `redis://user:password@host:6379`: {0}")]
pub struct UrlError(String);

impl RedisConfig {
    /// That Redis with the defaults: prefix `mcpmon`, 1 s to connect, 500 ms for a reply.
    #[must_use]
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            prefix: "mcpmon".to_owned(),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_millis(500),
        }
    }

    /// After this time every operation has ended: one new connection and three replies, for a
    /// script may have to be loaded. A listing looks at every key of the Redis, so there it is the
    /// bound of each of its pages.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.connect_timeout + self.response_timeout * 3
    }

    /// Whether the URL is one of Redis.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> Result<(), UrlError> {
        self.connection_info().map(drop)
    }

    pub(super) fn connection_info(&self) -> Result<ConnectionInfo, UrlError> {
        let url = self.url.expose_secret();
        let info = url.into_connection_info().map_err(|error| {
            // Its detail could quote the URL.
            UrlError(error.category().to_owned())
        })?;
        // Off by default in redis 1.x; a small request would wait for the last one's receipt.
        Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &"[redacted]")
            .field("prefix", &self.prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_it_holds_the_password() {
        let config = RedisConfig::new("redis://monitor:s3cret@localhost:6379");
        assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
        let wrong = RedisConfig::new("http://monitor:s3cret@localhost").connection_info();
        let error = wrong.expect_err("http is another protocol").to_string();
        assert!(error.contains("no URL of a Redis") && !error.contains("s3cret"), "{error}");
    }
}
