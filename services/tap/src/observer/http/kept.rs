//! One message that comes in pieces: whole up to a limit, beyond it the two ends.

use super::super::MAX_LINE;
use super::super::framing::Line;
use super::super::oversized::Oversized;
use crate::queue::grow;

#[derive(Debug, Default)]
pub(super) struct Kept {
    whole: Vec<u8>,
    ends: Option<Oversized>,
}

impl Kept {
    pub(super) fn push(&mut self, part: &[u8]) {
        if let Some(ends) = &mut self.ends {
            ends.extend(part);
        } else if self.whole.len() + part.len() > MAX_LINE {
            let mut ends = Oversized::of(&std::mem::take(&mut self.whole));
            ends.extend(part);
            self.ends = Some(ends);
        } else {
            grow(&mut self.whole, part.len(), MAX_LINE);
            self.whole.extend_from_slice(part);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.ends.is_none()
    }

    pub(super) fn line(&self) -> Line<'_> {
        self.ends.as_ref().map_or(Line::Whole(&self.whole), Line::Oversized)
    }

    /// The text, of what is short enough.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.whole).ok().filter(|_| self.ends.is_none())
    }
}
