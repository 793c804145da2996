//! A store whose replies get lost, as a script of the test says: the operation is applied, or not,
//! and the caller cannot know.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_coordination::{Backend, Document, Entry, Error, Fencing, Key, Put, Store};
use proptest::prelude::*;

/// What happens to one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    AppliedAndLost,
    NeverArrived,
}

#[derive(Debug)]
pub(crate) struct Lossy {
    inner: Arc<dyn Store>,
    fates: Mutex<VecDeque<Fate>>,
}

pub(crate) fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        3 => Just(Fate::Answered),
        1 => Just(Fate::AppliedAndLost),
        1 => Just(Fate::NeverArrived),
    ];
    prop::collection::vec(fate, 0..60)
}

impl Lossy {
    pub(crate) fn new(inner: Arc<dyn Store>, fates: Vec<Fate>) -> Self {
        Self { inner, fates: Mutex::new(fates.into()) }
    }

    async fn suffer<T>(&self, run: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Answered);
        // Others come in between.
        tokio::task::yield_now().await;
        let lost = || Err(Error::Unavailable("the reply is lost".to_owned()));
        match fate {
            Fate::Answered => run.await,
            Fate::AppliedAndLost => run.await.and_then(|_| lost()),
            Fate::NeverArrived => lost(),
        }
    }
}

#[async_trait]
impl Store for Lossy {
    fn backend(&self) -> Backend {
        self.inner.backend()
    }

    async fn get(&self, key: &Key) -> Result<Option<Document>, Error> {
        self.suffer(self.inner.get(key)).await
    }

    async fn list(&self, prefix: &Key) -> Result<Vec<(Key, Document)>, Error> {
        self.suffer(self.inner.list(prefix)).await
    }

    async fn put(
        &self,
        key: &Key,
        expected: Option<u64>,
        document: &Document,
        ttl: Option<Duration>,
    ) -> Result<Put, Error> {
        self.suffer(self.inner.put(key, expected, document, ttl)).await
    }

    async fn remove(&self, key: &Key, expected: u64) -> Result<bool, Error> {
        self.suffer(self.inner.remove(key, expected)).await
    }

    async fn acquire(
        &self,
        name: &Key,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Fencing>, Error> {
        self.suffer(self.inner.acquire(name, holder, ttl)).await
    }

    async fn renew(
        &self,
        name: &Key,
        holder: &str,
        fencing: Fencing,
        ttl: Duration,
    ) -> Result<bool, Error> {
        self.suffer(self.inner.renew(name, holder, fencing, ttl)).await
    }

    async fn release(&self, name: &Key, holder: &str, fencing: Fencing) -> Result<bool, Error> {
        self.suffer(self.inner.release(name, holder, fencing)).await
    }

    async fn publish(&self, stream: &Key, value: &str) -> Result<String, Error> {
        self.suffer(self.inner.publish(stream, value)).await
    }

    async fn consume(
        &self,
        stream: &Key,
        group: &str,
        consumer: &str,
        patience: Duration,
        wait: Duration,
    ) -> Result<Vec<Entry>, Error> {
        self.suffer(self.inner.consume(stream, group, consumer, patience, wait)).await
    }

    async fn acknowledge(&self, stream: &Key, group: &str, id: &str) -> Result<(), Error> {
        self.suffer(self.inner.acknowledge(stream, group, id)).await
    }

    async fn epoch(&self) -> Result<String, Error> {
        self.suffer(self.inner.epoch()).await
    }
}
