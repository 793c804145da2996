//! Lines out of chunks, for stdio: one message ends where a newline stands.
//!
//! A line that lies whole in a chunk is handed on without a copy. Of a line that grows past the
//! limit its ends are kept; after a gap everything up to the next newline is skipped.

use memchr::memchr;

use super::oversized::Oversized;

/// The longest line that is read, in bytes. rmcp refuses longer ones altogether.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// A buffer that keeps more than this after a line is given back.
const KEPT_CAPACITY: usize = 256 * 1024;

/// What stood between two newlines.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line<'a> {
    /// The line without its newline.
    Whole(&'a [u8]),
    /// A line that was too long to keep.
    Oversized(&'a Oversized),
}

/// The unfinished line of one direction.
#[derive(Debug)]
pub(super) struct Framer {
    limit: usize,
    /// The start of the line, when it began in an earlier chunk.
    line: Vec<u8>,
    /// What is kept of a line that is too long.
    oversized: Option<Oversized>,
    /// Bytes were lost: what follows belongs to a line whose start is unknown.
    lost: bool,
}

impl Default for Framer {
    fn default() -> Self {
        Self::with_limit(MAX_LINE)
    }
}

impl Framer {
    /// A framer that keeps lines of up to `limit` bytes.
    pub(super) fn with_limit(limit: usize) -> Self {
        Self { limit, line: Vec::new(), oversized: None, lost: false }
    }

    /// Hands every line that ends in `bytes` to `each` and keeps what is left.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let head = &bytes[..end];
            bytes = &bytes[end + 1..];
            if self.line.is_empty() && self.oversized.is_none() && !self.lost {
                if head.len() > self.limit {
                    each(Line::Oversized(&Oversized::of(head)));
                } else {
                    each(Line::Whole(head));
                }
            } else {
                self.keep(head);
                self.end(&mut each);
            }
        }
        self.keep(bytes);
    }

    /// The stream ended: what came after the last newline counts as a line.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        if !self.line.is_empty() || self.oversized.is_some() {
            self.end(&mut each);
        }
    }

    /// Bytes were lost: skips to the next newline.
    pub(super) fn lose(&mut self) {
        *self = Self { lost: true, ..Self::with_limit(self.limit) };
    }

    fn keep(&mut self, part: &[u8]) {
        if self.lost {
            return;
        }
        if let Some(oversized) = &mut self.oversized {
            oversized.extend(part);
        } else if self.line.len() + part.len() > self.limit {
            let mut oversized = Oversized::of(&std::mem::take(&mut self.line));
            oversized.extend(part);
            self.oversized = Some(oversized);
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn end(&mut self, each: &mut impl FnMut(Line<'_>)) {
        if std::mem::take(&mut self.lost) {
            return;
        }
        match self.oversized.take() {
            Some(oversized) => each(Line::Oversized(&oversized)),
            None => each(Line::Whole(&self.line)),
        }
        if self.line.capacity() > KEPT_CAPACITY {
            self.line = Vec::new();
        }
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(framer: &mut Framer, chunks: &[&[u8]]) -> Vec<Result<String, u64>> {
        let mut seen = Vec::new();
        let mut note = |line: Line<'_>| {
            seen.push(match line {
                Line::Whole(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
                Line::Oversized(line) => Err(line.length()),
            });
        };
        for chunk in chunks {
            framer.feed(chunk, &mut note);
        }
        framer.finish(&mut note);
        seen
    }

    #[test]
    fn lines_do_not_depend_on_chunks() {
        let expected = [Ok("one".into()), Ok(String::new()), Ok("two".into()), Ok("tail".into())];
        assert_eq!(lines(&mut Framer::default(), &[b"one\n\ntwo\ntail"]), expected);
        assert_eq!(
            lines(&mut Framer::default(), &[b"o", b"ne", b"\n\nt", b"wo\nta", b"il"]),
            expected
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_not_kept() {
        let expected = [Err(6), Ok("ok".into()), Err(5)];
        assert_eq!(lines(&mut Framer::with_limit(4), &[b"123456\nok\n12345"]), expected);
        let mut framer = Framer::with_limit(4);
        assert_eq!(lines(&mut framer, &[b"12", b"34", b"56", b"\nok\n123", b"45"]), expected);
        assert_eq!(framer.line.capacity(), 0);
    }

    #[test]
    fn after_a_loss_the_next_whole_line_is_read() {
        let mut framer = Framer::default();
        framer.feed(b"start of a", |_| ());
        framer.lose();
        assert_eq!(lines(&mut framer, &[b"nother line\nnext\n"]), [Ok("next".into())]);
    }
}
