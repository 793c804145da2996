//! All that is wrong with a configuration, as one error.

use std::fmt;

/// Everything that is wrong, one line each. A line names the key, the value (unless it may be a
/// secret) and where it came from, what would be right, and the variable that sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    pub(super) fn new(lines: Vec<String>) -> Self {
        Self(lines)
    }

    /// The errors, one line each.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "the configuration has {count} error{plural}:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for ConfigErrors {}
