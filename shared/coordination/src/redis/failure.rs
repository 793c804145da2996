//! What a failed operation means: for the caller, and for the connection it went over.

use deadpool_redis::PoolError;
use deadpool_redis::redis::{ErrorKind, RedisError};

use crate::store::Error;

#[derive(Debug)]
pub(super) enum Failure {
    Redis(RedisError),
    Pool(PoolError),
    /// The operation's own deadline.
    Late,
}

impl Failure {
    /// Whether the connection may be the reason. After a demotion, a restart or a frozen server an
    /// old connection could fail for ever; a new one finds what is there now.
    pub(super) fn spoils_connection(&self) -> bool {
        let Self::Redis(error) = self else { return true };
        match error.code() {
            // The server answered: another connection would get the same answer.
            Some("WRONGTYPE" | "OOM" | "MISCONF" | "BUSY" | "NOPERM" | "NOGROUP" | "ERR") => false,
            // Among them READONLY, LOADING, MASTERDOWN, UNBLOCKED, NOAUTH.
            Some(_) => true,
            None => error.kind() != ErrorKind::UnexpectedReturnType,
        }
    }

    /// The error for the caller, who asked for `key`.
    pub(super) fn about(self, key: &str) -> Error {
        let corrupt = |error: &RedisError| {
            error.code() == Some("WRONGTYPE") || error.kind() == ErrorKind::UnexpectedReturnType
        };
        match self {
            Self::Redis(error) if corrupt(&error) => {
                Error::Corrupt { key: key.to_owned(), problem: error.to_string() }
            }
            Self::Redis(error) => Error::Unavailable(error.to_string()),
            Self::Pool(error) => Error::Unavailable(error.to_string()),
            Self::Late => Error::Unavailable("no reply in time".to_owned()),
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}
