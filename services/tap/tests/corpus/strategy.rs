//! Bodies for the fuzz tests: what clients and servers send, kept as files beside this one, and what is left
//! of it after some damage. A body that once broke something belongs into the files.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// How long repeating may make a body: thrice, a hundred times each, would make a message of hundreds of
/// megabytes, and what there is to find is found in less.
const LONG: usize = 64 * 1024;

/// The files of `requests` or `responses`.
pub(crate) fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// What may happen to a body.
#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    /// A stretch comes many times, as in documents that are deep or long.
    Repeat(Index, Index, usize),
}

impl Damage {
    fn done_to(&self, mut body: Vec<u8>) -> Vec<u8> {
        let within = |index: &Index| index.index(body.len() + 1);
        match self {
            Self::Cut(at) => body.truncate(within(at)),
            Self::Replace(at, byte) => {
                let at = within(at);
                if let Some(old) = body.get_mut(at) {
                    *old = *byte;
                }
            }
            Self::Insert(at, bytes) => {
                let at = within(at);
                body.splice(at..at, bytes.iter().copied());
            }
            Self::Repeat(a, b, times) => {
                let (a, b) = (within(a), within(b));
                let stretch = &body[a.min(b)..a.max(b)];
                let stretch = stretch.repeat((*times).min(LONG / stretch.len().max(1)));
                body.splice(a.min(b)..a.min(b), stretch);
            }
        }
        body
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..16))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), select(&b"\"\\{[}],:\n\r\0"[..]))
            .prop_map(|(at, byte)| Damage::Insert(at, vec![byte])),
        (at(), at(), 1_usize..100).prop_map(|(a, b, times)| Damage::Repeat(a, b, times)),
    ]
}

/// A body like those of the folder, or a few behind one another; half of them whole.
pub(crate) fn body(folder: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let bodies =
        prop::collection::vec(select(files(folder)), 1..3).prop_map(|bodies| bodies.concat());
    let damages = prop_oneof![Just(Vec::new()), prop::collection::vec(damage(), 1..4)];
    (bodies, damages)
        .prop_map(|(body, damages)| damages.iter().fold(body, |body, damage| damage.done_to(body)))
}

/// The body in pieces of these sizes, which come again and again.
pub(crate) fn pieces<'a>(body: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    let (mut rest, mut found) = (body, Vec::new());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
        let (piece, after) = rest.split_at(size);
        found.push(piece);
        rest = after;
    }
    found
}
