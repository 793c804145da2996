//! What every backend must do, said once and run on each of them: on memory with a paused clock,
//! on a real Redis with real time, and on memory behind either shadow with its journal.

#![allow(clippy::unwrap_used, reason = "a broken assumption fails the test")]

mod documents;
mod leases;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_coordination::{Key, Memory, Redis, RedisConfig, Shadow, Store};
use mcpmon_testkit::redis_server::{Persistence, RedisServer};
use tempfile::TempDir;

/// A backend under test.
#[async_trait]
trait Harness: Sync {
    /// A handle to the same data, as another replica has it.
    fn make(&self) -> Arc<dyn Store>;

    /// Lets time pass.
    async fn elapse(&self, time: Duration);
}

struct OnMemory(Arc<Memory>);

struct OnRedis(RedisServer);

struct OnShadow(Arc<Shadow>, #[expect(dead_code, reason = "the journal's place")] TempDir);

#[async_trait]
impl Harness for OnMemory {
    fn make(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    async fn elapse(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}

#[async_trait]
impl Harness for OnShadow {
    fn make(&self) -> Arc<dyn Store> {
        self.0.clone()
    }

    async fn elapse(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}

#[async_trait]
impl Harness for OnRedis {
    fn make(&self) -> Arc<dyn Store> {
        let config = RedisConfig::new(self.0.url());
        Arc::new(Redis::new(&config).expect("the server's own URL"))
    }

    async fn elapse(&self, time: Duration) {
        // Redis's clock cannot be moved: what a test waits for is that time passes.
        tokio::time::sleep(time).await;
    }
}

fn on_memory() -> OnMemory {
    OnMemory(Arc::new(Memory::new()))
}

fn on_shadow() -> OnShadow {
    let directory = TempDir::new().unwrap();
    let shadow = Shadow::open(Arc::new(Memory::new()), directory.path()).unwrap();
    OnShadow(Arc::new(shadow), directory)
}

fn on_strict_shadow() -> OnShadow {
    let directory = TempDir::new().unwrap();
    let shadow = Shadow::open_strict(Arc::new(Memory::new()), directory.path()).unwrap();
    OnShadow(Arc::new(shadow), directory)
}

fn on_redis() -> OnRedis {
    OnRedis(RedisServer::start(Persistence::None))
}

fn key(name: &str) -> Key {
    Key::new(&["test", name])
}

/// Long against a scheduler's hiccup, short enough to be awaited.
const TTL: Duration = Duration::from_millis(400);

macro_rules! conformance {
    ($($module:ident::$test:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(start_paused = true)]
            async fn $test() {
                crate::$module::$test(&crate::on_memory()).await;
            })*
        }

        mod shadow {
            $(#[tokio::test(start_paused = true)]
            async fn $test() {
                crate::$module::$test(&crate::on_shadow()).await;
            })*
        }

        mod strict_shadow {
            $(#[tokio::test(start_paused = true)]
            async fn $test() {
                crate::$module::$test(&crate::on_strict_shadow()).await;
            })*
        }

        mod redis {
            $(#[tokio::test]
            async fn $test() {
                crate::$module::$test(&crate::on_redis()).await;
            })*
        }
    };
}

conformance! {
    documents::a_document_is_written_once_per_position,
    documents::only_one_of_many_writers_wins,
    documents::a_repeated_write_shows_what_was_written,
    documents::a_document_ends_with_its_time,
    documents::a_removal_can_be_repeated,
    documents::a_listing_has_what_stands_below_in_order,
    documents::the_greatest_positions_are_told_apart,
    documents::everyone_sees_the_same_epoch,
    leases::one_holder_at_a_time_with_growing_numbers,
    leases::asking_again_gives_the_same_number_and_more_time,
    leases::a_lease_ends_with_its_time,
    leases::renewing_needs_holder_and_number,
    leases::releasing_needs_holder_and_number,
    streams::a_group_begins_with_the_oldest_and_shares_the_work,
    streams::what_nobody_acknowledged_comes_again,
    streams::what_was_acknowledged_stays_away,
    streams::a_reader_waits_for_the_first_entry,
    streams::nothing_comes_from_an_empty_stream,
}
