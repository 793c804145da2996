//! The observer's side for HTTP under whatever peers may send: no panic, the same events however bodies are
//! cut, bounded memory. What passes on the wire is the business of `tests/http`.

#![expect(clippy::unwrap_used, reason = "all of this is a test")]

#[path = "corpus/strategy.rs"]
mod corpus;

use std::alloc::System;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use cap::Cap;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use mcp_tap::observer::Direction::{self, ToClient, ToServer};
use mcp_tap::observer::http::{
    Answered, Asked, Coding, Content, Fate, Form, HttpObserver, Marks, Verb,
};
use mcp_tap::sink::EventSink;
use mcpmon_metrics::label::ProtocolVersion;
use mcpmon_metrics::{Ending, Event};
use proptest::prelude::*;

use self::corpus::{body, pieces};

/// Counts what is allocated. The tests of this file must not run as threads of one process: nextest gives
/// each its own.
#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

/// What the observer may keep beside a multiple of what it was fed.
const BASE: usize = 2 * 1024 * 1024;

#[derive(Debug, Clone)]
enum Step {
    Asked(Asked),
    Answered(Answered),
    Bytes(Direction, Vec<u8>),
    Whole(Direction),
    Gap(Direction),
    Lose,
    Ended(Fate),
    Wait(u64),
}

#[derive(Default)]
struct Told {
    /// None where only memory matters.
    events: Option<RefCell<Vec<String>>>,
}

impl EventSink for &Told {
    fn record(&self, event: Event<'static>) {
        if let Some(events) = &self.events {
            events.borrow_mut().push(format!("{event:?}"));
        }
    }
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(ToServer), Just(ToClient)]
}

fn form() -> impl Strategy<Value = Form> {
    let content = prop_oneof![3 => Just(Content::Json), 3 => Just(Content::Events), 1 => Just(Content::Other)];
    let coding = prop_oneof![
        6 => Just(Coding::Identity),
        1 => Just(Coding::Gzip),
        1 => Just(Coding::Deflate),
        1 => Just(Coding::Unknown),
    ];
    (content, coding).prop_map(|(content, coding)| Form { content, coding })
}

fn session() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(0_u64..3)
}

fn asked() -> impl Strategy<Value = Asked> {
    let verb = prop_oneof![
        6 => Just(Verb::Post), 2 => Just(Verb::Get), 1 => Just(Verb::Delete), 1 => Just(Verb::Other)
    ];
    let version = prop_oneof![
        Just(None),
        Just(Some(ProtocolVersion::V2025_11_25)),
        Just(Some(ProtocolVersion::V2026_07_28))
    ];
    (verb, session(), 0_u64..3, version, any::<bool>(), form()).prop_map(
        |(verb, session, place, version, authorized, form)| Asked {
            verb,
            session,
            place,
            version,
            authorized,
            form,
        },
    )
}

fn answered() -> impl Strategy<Value = Answered> {
    let status = prop_oneof![5 => Just(200_u16), 1 => Just(202), 3 => 100_u16..600];
    (status, session(), form()).prop_map(|(status, session, form)| Answered {
        status,
        session,
        form,
    })
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![3 => Just(Fate::Whole), 1 => Just(Fate::ClientLeft), 1 => Just(Fate::Broken(Ending::Eof))]
}

/// Bodies plain or compressed, whatever the head of the exchange says about them.
fn bytes(direction: Direction, folder: &str) -> impl Strategy<Value = Step> + use<> {
    let coding = prop_oneof![4 => Just(Coding::Identity), 1 => Just(Coding::Gzip), 1 => Just(Coding::Deflate)];
    (body(folder), coding)
        .prop_map(move |(body, coding)| Step::Bytes(direction, coded(&body, coding)))
}

fn coded(body: &[u8], coding: Coding) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Identity | Coding::Unknown => body.to_vec(),
    }
}

/// Steps of a few exchanges, mixed.
fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        4 => asked().prop_map(Step::Asked),
        4 => answered().prop_map(Step::Answered),
        6 => bytes(ToServer, "requests"),
        6 => bytes(ToClient, "responses"),
        3 => direction().prop_map(Step::Whole),
        1 => direction().prop_map(Step::Gap),
        1 => Just(Step::Lose),
        3 => fate().prop_map(Step::Ended),
        1 => (1_u64..4_000).prop_map(Step::Wait),
    ];
    prop::collection::vec((0_usize..4, step), 1..60)
}

/// Takes the steps; what is still open at the end, ends, and an hour passes.
fn take(observer: &mut HttpObserver<&Told>, steps: &[(usize, Step)], sizes: &[usize]) {
    let (mut now, mut next, mut open) = (Duration::ZERO, 0, HashMap::new());
    for (slot, step) in steps {
        if let Step::Asked(asked) = step {
            // The data path gives every exchange a number of its own.
            open.entry(*slot).or_insert_with(|| {
                next += 1;
                observer.asked(next, now, *asked);
                next
            });
            continue;
        }
        let id = open.get(slot).copied().unwrap_or(u64::MAX);
        match step {
            Step::Answered(answered) => observer.answered(id, now, *answered),
            Step::Bytes(direction, bytes) => {
                for piece in pieces(bytes, sizes) {
                    observer.bytes(id, *direction, now, piece);
                }
            }
            Step::Whole(direction) => observer.whole(id, *direction, now),
            Step::Gap(direction) => observer.gap(*direction),
            Step::Lose => observer.lose(id),
            Step::Ended(fate) => {
                open.remove(slot);
                observer.ended(id, now, *fate);
            }
            Step::Wait(seconds) => {
                now += Duration::from_secs(*seconds);
                observer.tick(now);
            }
            Step::Asked(_) => {}
        }
    }
    for id in open.into_values() {
        observer.ended(id, now, Fate::ClientLeft);
    }
    for _ in 0..3 {
        now += Duration::from_secs(3_600);
        observer.tick(now);
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn fuzz_events_do_not_depend_on_how_bodies_are_cut(
        steps in steps(),
        sizes in prop::collection::vec(1_usize..64, 1..8),
    ) {
        let marks = Marks::default();
        let told = [&sizes[..], &[usize::MAX]].map(|sizes| {
            let told = Told { events: Some(RefCell::default()) };
            take(&mut HttpObserver::new(&told, marks.clone()), &steps, sizes);
            told.events.unwrap().into_inner()
        });
        prop_assert_eq!(&told[0], &told[1]);
    }

    #[test]
    fn fuzz_what_has_ended_is_forgotten(steps in steps()) {
        let told = Told::default();
        let mut observer = HttpObserver::new(&told, Marks::default());
        let before = ALLOCATED.allocated();
        take(&mut observer, &steps, &[50]);
        let kept = ALLOCATED.allocated().saturating_sub(before);
        prop_assert!(kept < BASE, "{kept} bytes are kept of what is over");
    }
}

const OPEN: u64 = 1;

fn open(observer: &mut HttpObserver<&Told>, content: Content, coding: Coding) {
    let form = Form { content, coding };
    let asked = Asked {
        verb: Verb::Post,
        session: None,
        place: 0,
        version: None,
        authorized: false,
        form: Form { content: Content::Json, coding: Coding::Identity },
    };
    observer.asked(OPEN, Duration::ZERO, asked);
    observer.answered(OPEN, Duration::ZERO, Answered { status: 200, session: None, form });
}

/// The longest message that is kept whole, while its buffer grows to twice the size.
const MOST: usize = BASE + 2 * mcp_tap::observer::MAX_LINE;

#[test]
fn a_body_without_end_takes_bounded_memory() {
    for content in [Content::Json, Content::Events] {
        for unit in ["[", "data: x\n", ": \n", "data: {\"id\":1,\n", "id: ", "\r"] {
            let told = Told::default();
            let mut observer = HttpObserver::new(&told, Marks::default());
            let before = ALLOCATED.allocated();
            open(&mut observer, content, Coding::Identity);
            let piece = unit.repeat(64 * 1024 / unit.len());
            for _ in 0..1_024 {
                observer.bytes(OPEN, ToClient, Duration::ZERO, piece.as_bytes());
                let kept = ALLOCATED.allocated() - before;
                assert!(kept < MOST, "{content:?} of {unit:?}: {kept}");
            }
        }
    }
}

#[test]
fn a_compressed_body_that_swells_takes_bounded_memory() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..64 {
        encoder.write_all(&[b'['; 1024 * 1024]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let told = Told::default();
    let mut observer = HttpObserver::new(&told, Marks::default());
    let before = ALLOCATED.allocated();
    open(&mut observer, Content::Json, Coding::Gzip);
    for piece in bomb.chunks(1024) {
        observer.bytes(OPEN, ToClient, Duration::ZERO, piece);
        let kept = ALLOCATED.allocated() - before;
        assert!(kept < MOST, "{kept}");
    }
}
