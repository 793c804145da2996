//! A store that a test takes away and gives back, with what it held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_coordination::{Backend, Document, Entry, Error, Fencing, Key, Memory, Put, Store};

#[derive(Debug, Default)]
pub(crate) struct Breaking {
    inner: Memory,
    broken: AtomicBool,
}

impl Breaking {
    pub(crate) fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }

    fn inner(&self) -> Result<&Memory, Error> {
        let broken = self.broken.load(Ordering::SeqCst);
        if broken { Err(Error::Unavailable("taken away".to_owned())) } else { Ok(&self.inner) }
    }
}

#[async_trait]
impl Store for Breaking {
    fn backend(&self) -> Backend {
        Backend::Redis
    }

    async fn get(&self, key: &Key) -> Result<Option<Document>, Error> {
        self.inner()?.get(key).await
    }

    async fn list(&self, prefix: &Key) -> Result<Vec<(Key, Document)>, Error> {
        self.inner()?.list(prefix).await
    }

    async fn put(
        &self,
        key: &Key,
        expected: Option<u64>,
        document: &Document,
        ttl: Option<Duration>,
    ) -> Result<Put, Error> {
        self.inner()?.put(key, expected, document, ttl).await
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        self.inner()?.remove(key, expected).await
    }

    async fn acquire(
        &self,
        name: &Key,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Fencing>, Error> {
        self.inner()?.acquire(name, holder, ttl).await
    }

    async fn renew(
        &self,
        name: &Key,
        holder: &str,
        fencing: Fencing,
        ttl: Duration,
    ) -> Result<bool, Error> {
        self.inner()?.renew(name, holder, fencing, ttl).await
    }

    async fn release(&self, name: &Key, holder: &str, fencing: Fencing) -> Result<bool, Error> {
        self.inner()?.release(name, holder, fencing).await
    }

    async fn publish(&self, stream: &Key, value: &str) -> Result<String, Error> {
        self.inner()?.publish(stream, value).await
    }

    async fn consume(
        &self,
        stream: &Key,
        group: &str,
        consumer: &str,
        patience: Duration,
        wait: Duration,
    ) -> Result<Vec<Entry>, Error> {
        self.inner()?.consume(stream, group, consumer, patience, wait).await
    }

    async fn acknowledge(&self, stream: &Key, group: &str, id: &str) -> Result<(), Error> {
        self.inner()?.acknowledge(stream, group, id).await
    }

    async fn epoch(&self) -> Result<String, Error> {
        self.inner()?.epoch().await
    }
}
