//! The keys of one table among many of its kind: a component, a target of repairs.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Settings;

/// The keys of one table, such as one component's.
#[derive(Debug)]
pub struct Keys<'s> {
    settings: &'s mut Settings,
    table: String,
}

impl<'s> Keys<'s> {
    /// The keys of `table`, whose name is in full.
    #[must_use]
    pub fn new(settings: &'s mut Settings, table: String) -> Self {
        Self { settings, table }
    }

    /// The whole name of a key of this table.
    #[must_use]
    pub fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.table)
    }

    /// [`Settings::value`]
    pub fn value<T: DeserializeOwned + Serialize>(
        &mut self,
        key: &str,
        default: T,
        doc: &str,
    ) -> T {
        self.settings.value(&self.name(key), default, doc)
    }

    /// [`Settings::optional`]
    pub fn optional<T: DeserializeOwned>(&mut self, key: &str, doc: &str) -> Option<T> {
        self.settings.optional(&self.name(key), doc)
    }

    /// [`Settings::checked`]
    pub fn checked<Raw: DeserializeOwned + Serialize, T, E: fmt::Display>(
        &mut self,
        key: &str,
        default: Raw,
        doc: &str,
        check: impl Fn(Raw) -> Result<T, E>,
    ) -> T {
        self.settings.checked(&self.name(key), default, doc, check)
    }

    /// [`Settings::optional_checked`]
    pub fn optional_checked<Raw: DeserializeOwned, T, E: fmt::Display>(
        &mut self,
        key: &str,
        doc: &str,
        check: impl Fn(Raw) -> Result<T, E>,
    ) -> Option<T> {
        self.settings.optional_checked(&self.name(key), doc, check)
    }

    /// A key without which the table means nothing: its absence is noted.
    pub fn required<Raw: DeserializeOwned, T, E: fmt::Display>(
        &mut self,
        key: &str,
        doc: &str,
        check: impl Fn(Raw) -> Result<T, E>,
    ) -> Option<T> {
        let name = self.name(key);
        let is_set = self.settings.is_set(&name);
        let value = self.settings.optional_checked(&name, doc, check);
        if !is_set {
            self.settings.reject(&name, format!("is not set; {doc}"));
        }
        value
    }

    /// [`Settings::seconds`]
    pub fn seconds(
        &mut self,
        key: &str,
        default: Duration,
        allowed: std::ops::RangeInclusive<Duration>,
        doc: &str,
    ) -> Duration {
        self.settings.seconds(&self.name(key), default, allowed, doc)
    }

    /// [`Settings::secret`]
    pub fn secret(&mut self, key: &str, doc: &str) -> Option<SecretString> {
        self.settings.secret(&self.name(key), doc)
    }

    /// A [`secret`](Self::secret) that is sent in a header: a token.
    pub fn bearer(&mut self, key: &str, doc: &str) -> Option<SecretString> {
        let token = self.secret(key, doc)?;
        let sendable = |byte: u8| (0x21..=0x7e).contains(&byte);
        if !token.expose_secret().bytes().all(sendable) {
            self.reject(key, "cannot be sent in a header; expected visible ASCII without spaces");
            return None;
        }
        Some(token)
    }

    /// The settings that the table stands in, for a key above it that rules over many tables.
    pub fn settings(&mut self) -> &mut Settings {
        self.settings
    }

    /// [`Settings::is_set`]
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.settings.is_set(&self.name(key))
    }

    /// [`Settings::reject`]
    pub fn reject(&mut self, key: &str, problem: impl fmt::Display) {
        self.settings.reject(&self.name(key), problem);
    }
}
