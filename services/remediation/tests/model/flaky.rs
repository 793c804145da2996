//! A store that may lose a command, or the reply to one that was carried out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_coordination::store::{Backend, Error};
use mcpmon_coordination::{Document, Entry, Fencing, Key, Memory, Put, Store};

/// One of so many commands is lost while it stumbles, one way or the other.
const LOST: u32 = 12;

#[derive(Debug)]
pub(crate) struct Flaky {
    pub(crate) memory: Memory,
    pub(crate) stumbles: AtomicBool,
    random: Mutex<fastrand::Rng>,
}

impl Default for Flaky {
    fn default() -> Self {
        let random = Mutex::new(fastrand::Rng::with_seed(7));
        Self { memory: Memory::new(), stumbles: AtomicBool::new(false), random }
    }
}

impl Flaky {
    fn lost(&self) -> Result<(), Error> {
        let stumbles = self.stumbles.load(Ordering::Relaxed);
        if stumbles && self.random.lock().unwrap().u32(..LOST) == 0 {
            return Err(Error::Unavailable("the model lost it".to_owned()));
        }
        Ok(())
    }
}

/// Lost on the way there, or on the way back.
macro_rules! perhaps {
    ($self:ident, $operation:expr) => {{
        $self.lost()?;
        let result = $operation.await?;
        $self.lost()?;
        Ok(result)
    }};
}

#[async_trait]
impl Store for Flaky {
    fn backend(&self) -> Backend {
        self.memory.backend()
    }

    async fn get(&self, key: &Key) -> Result<Option<Document>, Error> {
        perhaps!(self, self.memory.get(key))
    }

    async fn list(&self, prefix: &Key) -> Result<Vec<(Key, Document)>, Error> {
        perhaps!(self, self.memory.list(prefix))
    }

    async fn put(
        &self,
        key: &Key,
        expected: Option<u64>,
        document: &Document,
        ttl: Option<Duration>,
    ) -> Result<Put, Error> {
        perhaps!(self, self.memory.put(key, expected, document, ttl))
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        perhaps!(self, self.memory.remove(key, expected))
    }

    async fn acquire(
        &self,
        name: &Key,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Fencing>, Error> {
        perhaps!(self, self.memory.acquire(name, holder, ttl))
    }

    async fn renew(
        &self,
        name: &Key,
        holder: &str,
        fencing: Fencing,
        ttl: Duration,
    ) -> Result<bool, Error> {
        perhaps!(self, self.memory.renew(name, holder, fencing, ttl))
    }

    async fn release(&self, name: &Key, holder: &str, fencing: Fencing) -> Result<bool, Error> {
        perhaps!(self, self.memory.release(name, holder, fencing))
    }

    async fn publish(&self, stream: &Key, value: &str) -> Result<String, Error> {
        perhaps!(self, self.memory.publish(stream, value))
    }

    async fn consume(
        &self,
        stream: &Key,
        group: &str,
        consumer: &str,
        patience: Duration,
        wait: Duration,
    ) -> Result<Vec<Entry>, Error> {
        perhaps!(self, self.memory.consume(stream, group, consumer, patience, wait))
    }

    async fn acknowledge(&self, stream: &Key, group: &str, id: &str) -> Result<(), Error> {
        perhaps!(self, self.memory.acknowledge(stream, group, id))
    }

    async fn epoch(&self) -> Result<String, Error> {
        perhaps!(self, self.memory.epoch())
    }
}
