//! What waits in the queue: records, and the bytes that some of them have.

use std::fmt;
use std::time::Duration;

use crate::observer::Direction;
use crate::observer::http::{Answered, Asked, Fate};

/// What a record costs beside its bytes, so that many tiny chunks are bounded too.
pub(super) const RECORD_COST: usize = size_of::<Record>();

/// A batch that keeps more than this is replaced by a fresh one.
const KEPT_CAPACITY: usize = 256 * 1024;

/// One step of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The HTTP exchange that it belongs to; 0 over stdio, which has one conversation.
    pub exchange: u64,
    /// Which way the bytes went.
    pub direction: Direction,
    /// When they were read.
    pub at: Duration,
    /// What happened.
    pub kind: Kind,
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The next so many bytes of the batch.
    Bytes(usize),
    /// Bytes passed that were not copied.
    Gap,
    /// The direction ended.
    Closed,
    /// An HTTP exchange began.
    Asked(Asked),
    /// The head of its response came.
    Answered(Answered),
    /// It is over.
    Ended(Fate),
}

/// Records and their bytes, in order.
#[derive(Default)]
pub struct Batch {
    pub(super) records: Vec<Record>,
    pub(super) bytes: Vec<u8>,
}

impl Batch {
    /// The records, each with its bytes (none but for [`Kind::Bytes`]).
    pub fn iter(&self) -> impl Iterator<Item = (Record, &[u8])> {
        let mut rest = self.bytes.as_slice();
        self.records.iter().map(move |record| {
            let Kind::Bytes(length) = record.kind else { return (*record, &[][..]) };
            let (bytes, after) = rest.split_at(length);
            rest = after;
            (*record, bytes)
        })
    }

    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + self.records.len() * RECORD_COST
    }

    pub(super) fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_CAPACITY {
            *self = Self::default();
        }
        self.bytes.clear();
        self.records.clear();
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} records, {} bytes)", self.records.len(), self.bytes.len())
    }
}
