//! Names that come from outside: of servers, tools, agents, models, sources.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// The name that stands for every name that was not admitted.
pub const OTHER: &str = "_other";

/// The longest name, in bytes. MCP allows tool names of up to 128 characters.
pub const MAX_NAME_BYTES: usize = 128;

/// A name that may become a label value: 1 to 128 bytes of UTF-8 without control characters.
///
/// Quotes and backslashes are legal; the exposition escapes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Name<'a>(Cow<'a, str>);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The text is empty.
    #[error("is empty; expected a name of 1 to 128 bytes")]
    Empty,
    /// The text is longer than [`MAX_NAME_BYTES`].
    #[error("is {0} bytes long; expected at most 128")]
    TooLong(usize),
    /// The text holds a control character.
    #[error("holds the control character {0:?}; expected printable text")]
    Control(char),
}

impl<'a> Name<'a> {
    /// Checks `text`.
    ///
    /// # Errors
    /// When it is empty, longer than 128 bytes, or holds a control character.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, InvalidName> {
        let text = text.into();
        if text.is_empty() {
            return Err(InvalidName::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(InvalidName::TooLong(text.len()));
        }
        // Most names are ASCII, where one pass over the bytes decides.
        let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b));
        if !plain && let Some(c) = text.chars().find(|c| c.is_control()) {
            return Err(InvalidName::Control(c));
        }
        Ok(Self(text))
    }

    /// The name, or [`OTHER`] when the text is no name. For names that a stranger chose, where
    /// the call must be counted whatever it was called.
    pub fn or_other(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(text).unwrap_or_else(|_| Self::other())
    }

    /// The name that stands for all names that were not admitted.
    pub fn other() -> Self {
        Self(Cow::Borrowed(OTHER))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name with its own storage.
    pub fn into_owned(self) -> Name<'static> {
        Name(Cow::Owned(self.0.into_owned()))
    }
}

impl AsRef<str> for Name<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
