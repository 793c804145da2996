//! The section `coordination`, which the services that coordinate share, and the store it means.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_bootstrap::Settings;
use serde::{Deserialize, Serialize};

use crate::redis::{RedisConfig, UrlError};
use crate::{Memory, Redis, Shadow, Store, shadow};

/// Where shared state lives, as it was told.
#[derive(Debug)]
pub struct Coordination {
    /// The Redis; without one the state is this process's own.
    pub redis: Option<RedisConfig>,
    /// Whether `backend = "memory"` stands there in so many words. Who acts on other programs must
    /// insist: a replica that lost its URL would act beside the others.
    pub memory_is_meant: bool,
    /// The memory that several services of one process share; without it each has one of its own.
    pub shared_memory: Option<Arc<Memory>>,
    /// The folder of the journals; each service and replica has one of its own below it.
    pub state_dir: PathBuf,
}

/// The backend in the words of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Chosen {
    Memory,
    Redis,
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none of Redis.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] shadow::JournalError),
}

impl Coordination {
    /// Reads the section. What is wrong is noted in `settings`.
    pub fn read(settings: &mut Settings) -> Self {
        let chosen = settings.optional::<Chosen>(
            "coordination.backend",
            "`redis` or `memory`; by default `redis` where there is a URL.",
        );
        let url = settings.secret(
            "coordination.url",
            "`redis://user:password@host:6379/0`. Without it the state is this process's own.",
        );
        let prefix = settings.value(
            "coordination.prefix",
            "mcpmon".to_owned(),
            "First part of every key in Redis. Replicas share it.",
        );
        let timeout = |settings: &mut Settings, key, default, doc| {
            let allowed = Duration::from_millis(10)..=Duration::from_secs(30);
            settings.seconds(key, Duration::from_millis(default), allowed, doc)
        };
        let connect_timeout = timeout(
            settings,
            "coordination.connect_timeout_seconds",
            1000,
            "How long a new connection to Redis may take.",
        );
        let response_timeout = timeout(
            settings,
            "coordination.response_timeout_seconds",
            500,
            "How long a reply of Redis may take.",
        );
        let state_dir = settings.optional(
            "coordination.state_dir",
            "Folder for the journals that outlive a restart and an absent Redis; by default \
             `$XDG_STATE_HOME/mcpmon`. Replicas on one machine need one each.",
        );
        if let (Some(chosen), has_url) = (chosen, url.is_some())
            && (chosen == Chosen::Redis) != has_url
        {
            let problem = if has_url {
                "is `memory`, but coordination.url is set; leave one of the two out"
            } else {
                "is `redis`, but coordination.url is not set; set it, or choose `memory`"
            };
            settings.reject("coordination.backend", problem);
        }
        let redis = url.map(|url| RedisConfig {
            prefix,
            connect_timeout,
            response_timeout,
            ..RedisConfig::new(url)
        });
        if let Some(Err(error)) = redis.as_ref().map(RedisConfig::check) {
            settings.reject("coordination.url", error);
        }
        Self {
            redis,
            memory_is_meant: chosen == Some(Chosen::Memory),
            shared_memory: None,
            state_dir: state_dir.unwrap_or_else(default_state_dir),
        }
    }

    /// The store with its journal in the folder `service` of the state directory. Redis is asked by
    /// the first operation, so a Redis that is away does not keep a service from starting.
    ///
    /// # Errors
    /// When the journal cannot be used, for instance because another process does.
    pub fn open(&self, service: &str) -> Result<Shadow, OpenError> {
        Ok(Shadow::open(self.primary()?, &self.state_dir.join(service))?)
    }

    /// The same for a service that must not act without Redis: see [`Shadow::open_strict`].
    ///
    /// # Errors
    /// When the journal cannot be used, for instance because another process does.
    pub fn open_strict(&self, service: &str) -> Result<Shadow, OpenError> {
        Ok(Shadow::open_strict(self.primary()?, &self.state_dir.join(service))?)
    }

    fn primary(&self) -> Result<Arc<dyn Store>, UrlError> {
        Ok(match &self.redis {
            Some(redis) => Arc::new(Redis::new(redis)?),
            None => self.shared_memory.clone().unwrap_or_default(),
        })
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Redis { "redis" } else { "memory" })
    }
}

/// As the XDG base directory specification says, relative paths being none.
fn default_state_dir() -> PathBuf {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    state.join("mcpmon")
}
