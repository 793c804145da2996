//! What the observer saw and could not make an event of.

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// JSON-RPC messages that were read.
    pub messages: u64,
    /// Lines that are not JSON-RPC, or not wholly.
    pub unreadable: u64,
    /// Lines that were longer than [`super::MAX_LINE`].
    pub oversized: u64,
    /// The bytes of those lines.
    pub oversized_bytes: u64,
    /// Replies to no request that is known: late ones, and those to what was not observed.
    pub unmatched: u64,
    /// Calls that were not counted, because their reply may have passed unobserved.
    pub uncertain: u64,
}
