//! Lines that are too long to keep: what their two ends say.
//!
//! A message of such a length is one huge value between small ones: the id, the method and the
//! tool's name stand before it or behind it. So both ends are kept, and joined to a message
//! without what lies between: the first end up to its last whole member, then those members at
//! the last end that belong to the message itself or to its `result` or `params`. What comes out
//! is read like any other message; where nothing sensible comes out, that reading says so.

/// How much of each end is kept, in bytes.
const WINDOW: usize = 64 * 1024;

/// A member of the message stands at depth 1, one of its `result` or `params` at depth 2. Deeper
/// ones could belong to anything.
const MAX_DEPTH: usize = 2;

/// The two ends of a line.
#[derive(Debug)]
pub(super) struct Oversized {
    head: Vec<u8>,
    /// The last bytes, up to twice as many as are looked at.
    tail: Vec<u8>,
    length: u64,
}

impl Oversized {
    pub(super) fn of(line: &[u8]) -> Self {
        let head = line[..line.len().min(WINDOW)].to_vec();
        let mut ends = Self { head, tail: Vec::new(), length: 0 };
        ends.extend(line);
        ends
    }

    /// Takes in the next bytes of the line.
    pub(super) fn extend(&mut self, part: &[u8]) {
        self.length += part.len() as u64;
        let part = &part[part.len().saturating_sub(WINDOW)..];
        self.tail.extend_from_slice(part);
        if self.tail.len() > 2 * WINDOW {
            self.tail.drain(..self.tail.len() - WINDOW);
        }
    }

    /// The length of the whole line.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The message without its middle; `None` for what is no object, such as a batch.
    pub(super) fn abridged(&self) -> Option<Vec<u8>> {
        let (mut message, open) = beginning(&self.head)?;
        let (end, depth) = ending(&self.tail[self.tail.len().saturating_sub(WINDOW)..]);
        let depth = depth.min(open.len());
        message.extend(open[depth..].iter().rev());
        if end.is_empty() {
            message.extend(open[..depth].iter().rev());
        } else {
            if !message.ends_with(b"{") {
                message.push(b',');
            }
            message.extend_from_slice(end);
        }
        Some(message)
    }
}

/// `json` up to its last whole member or element, and the brackets that close it, outermost first.
fn beginning(json: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json).trim_ascii_start();
    if !json.starts_with(b"{") {
        return None;
    }
    let (mut open, mut in_text, mut escaped) = (Vec::new(), false, false);
    let mut whole = (0, Vec::new());
    for (position, byte) in json.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                open.push(if *byte == b'{' { b'}' } else { b']' });
                whole = (position + 1, open.clone());
            }
            b'}' | b']' => drop(open.pop()),
            b',' => whole = (position, open.clone()),
            _ => {}
        }
    }
    Some((json[..whole.0].to_vec(), whole.1))
}

/// The longest end of `json` that begins with a member at most [`MAX_DEPTH`] deep, and how deep;
/// empty when there is none.
///
/// Read backwards, where no byte is in doubt: the last one stands outside of every text, and a
/// quote begins or ends a text unless an odd number of backslashes stands before it.
fn ending(json: &[u8]) -> (&[u8], usize) {
    let json = json.trim_ascii_end();
    let (mut depth, mut in_text) = (0_usize, false);
    let mut best = (json.len(), 1);
    for (position, byte) in json.iter().enumerate().rev() {
        match byte {
            b'"' => {
                let before = json[..position].iter().rev();
                let is_escaped = before.take_while(|byte| **byte == b'\\').count() % 2 == 1;
                in_text ^= !is_escaped;
            }
            _ if in_text => {}
            b'}' | b']' => depth += 1,
            b'{' | b'[' => depth = depth.saturating_sub(1),
            b',' if (1..=MAX_DEPTH).contains(&depth) => best = (position + 1, depth),
            _ => {}
        }
    }
    (&json[best.0..], best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of `start`, three windows of text, and `end`.
    fn abridged(start: &str, end: &str) -> Option<String> {
        let line = format!("{start}{}{end}", "x".repeat(3 * WINDOW));
        let (first, rest) = line.as_bytes().split_at(line.len() / 2);
        let mut ends = Oversized::of(first);
        rest.chunks(1000).for_each(|part| ends.extend(part));
        assert_eq!(ends.length(), line.len() as u64);
        assert!(ends.tail.len() <= 2 * WINDOW);
        ends.abridged().map(|message| String::from_utf8(message).unwrap())
    }

    #[test]
    fn what_stands_before_and_behind_a_huge_text_is_left() {
        let cases = [
            // As Python writes it.
            (
                r#"{"id":1,"result":{"content":[{"type":"text","text":""#,
                r#""}],"isError":true}}"#,
                r#"{"id":1,"result":{"content":[{"type":"text"}],"isError":true}}"#,
            ),
            // As TypeScript writes it.
            (
                r#"{"result":{"content":[{"type":"text","text":""#,
                r#"\\\"},\\"}]},"jsonrpc":"2.0","id":"a\"b"}"#,
                r#"{"result":{"content":[{"type":"text"}]},"jsonrpc":"2.0","id":"a\"b"}"#,
            ),
            (
                r#"{"method":"tools/call","params":{"name":"a","arguments":{"x":""#,
                "\"}},\"id\":5} \r",
                r#"{"method":"tools/call","params":{"name":"a","arguments":{}},"id":5}"#,
            ),
            (
                r#" {"params":{"x":""#,
                r#"","name":"a"},"id":5}"#,
                r#"{"params":{"name":"a"},"id":5}"#,
            ),
            (r#"{"id":1,"result":{"x":""#, r#""}}"#, r#"{"id":1,"result":{}}"#),
        ];
        for (start, end, expected) in cases {
            assert_eq!(abridged(start, end).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_batch_has_too_many_ends() {
        assert_eq!(abridged(r#"[{"id":1,"result":{"x":""#, r#""}}]"#), None);
        assert_eq!(abridged("", ""), None);
    }
}
