//! The connections to Redis: one that all operations share, and a pool for reads that block.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, Client};
use deadpool_redis::{Connection, Manager, Pool, Runtime, Timeouts};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use super::config::{RedisConfig, UrlError};
use super::failure::Failure;

/// At most this many reads block at once; each of our services has one or two streams.
const POOL_SIZE: usize = 16;

pub(super) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    shared: Mutex<Shared>,
    /// The greatest number of a connection that may be of no use. Not behind the lock: whoever
    /// holds that may be connecting.
    spoiled: AtomicU64,
    pool: Pool,
    deadline: Duration,
    response_timeout: Duration,
}

#[derive(Default)]
struct Shared {
    connection: Option<MultiplexedConnection>,
    /// Counts connections from 1, so that a late failure does not drop its successor.
    number: u64,
}

impl Link {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, UrlError> {
        let info = config.connection_info()?;
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.response_timeout));
        let client = Client::open(info.clone()).expect("the address was parsed");
        let manager =
            Manager::new_with_config(info, timeouts.clone()).expect("the address was parsed");
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .timeouts(Timeouts {
                wait: Some(config.deadline()),
                create: Some(config.connect_timeout),
                recycle: Some(config.response_timeout),
            })
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with timeouts has a runtime");
        Ok(Self {
            client,
            config: timeouts,
            shared: Mutex::default(),
            spoiled: AtomicU64::new(0),
            pool,
            deadline: config.deadline(),
            response_timeout: config.response_timeout,
        })
    }

    /// Runs an operation over the connection that all share. It costs no round trip of its own.
    pub(super) async fn shared<T>(
        &self,
        run: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let end = Instant::now() + self.deadline;
        let all =
            async |connection| timeout_at(end, run(connection)).await.unwrap_or(Err(Failure::Late));
        self.stepwise(all).await
    }

    /// The same for an operation of which nobody can say how many steps it has: each of them, in
    /// [`Self::step`], has the deadline.
    pub(super) async fn stepwise<T>(
        &self,
        run: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (connection, number) = self.step(self.connection()).await?;
        let result = run(connection).await;
        if result.as_ref().is_err_and(Failure::spoils_connection) {
            self.spoiled.fetch_max(number, Ordering::Relaxed);
        }
        result
    }

    /// Bounds one step.
    pub(super) async fn step<T>(
        &self,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        timeout(self.deadline, step).await.unwrap_or(Err(Failure::Late))
    }

    /// Runs an operation that blocks up to `wait` on a connection of its own.
    pub(super) async fn own<T>(
        &self,
        wait: Duration,
        run: impl AsyncFnOnce(MultiplexedConnection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let all = async {
            let pooled = self.pool.get().await?;
            let mut connection = MultiplexedConnection::clone(&pooled);
            connection.set_response_timeout(wait + self.response_timeout);
            let result = run(connection).await;
            if result.as_ref().is_err_and(Failure::spoils_connection) {
                drop(Connection::take(pooled));
            }
            result
        };
        timeout(wait + self.deadline, all).await.unwrap_or(Err(Failure::Late))
    }

    async fn connection(&self) -> Result<(MultiplexedConnection, u64), Failure> {
        let mut shared = self.shared.lock().await;
        if shared.number <= self.spoiled.load(Ordering::Relaxed) {
            shared.connection = None;
        }
        let connection = match &shared.connection {
            Some(connection) => connection.clone(),
            None => {
                let new = self.client.get_multiplexed_async_connection_with_config(&self.config);
                let new = new.await?;
                shared.number += 1;
                shared.connection.insert(new).clone()
            }
        };
        Ok((connection, shared.number))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client knows the password.
        f.debug_struct("Link").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
