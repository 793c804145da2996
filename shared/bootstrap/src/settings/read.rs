//! The readers. Each registers its key, and on a fault notes it and goes on with the default.

use std::fmt::Display;
use std::fs;
use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::decode::{decode, excerpt};
use super::tree::Found;
use super::{KeyDoc, Settings, environment_name, key_origin};

/// What the reference says of a key that has no default.
const UNSET: &str = "unset";

impl Settings {
    /// Reads `key`. From the environment a list is written with commas, a table as JSON.
    pub fn value<T>(&mut self, key: &str, default: T, doc: &str) -> T
    where
        T: DeserializeOwned + Serialize,
    {
        self.register(key, &default, doc);
        self.read(key).unwrap_or(default)
    }

    /// Reads a key that has no default.
    pub fn optional<T: DeserializeOwned>(&mut self, key: &str, doc: &str) -> Option<T> {
        self.register(key, &(), doc);
        self.read(key)
    }

    /// Reads `key` and turns it into a domain type. What `check` refuses is noted with the
    /// message of its error, which must say what would be right.
    ///
    /// # Panics
    /// When `check` refuses the default.
    pub fn checked<Raw, T, E>(
        &mut self,
        key: &str,
        default: Raw,
        doc: &str,
        check: impl Fn(Raw) -> Result<T, E>,
    ) -> T
    where
        Raw: DeserializeOwned + Serialize,
        E: Display,
    {
        self.register(key, &default, doc);
        self.read_checked(key, &check)
            .or_else(|| check(default).ok())
            .expect("a default obeys the rule of its own key")
    }

    /// [`checked`](Self::checked) for a key that has no default.
    pub fn optional_checked<Raw, T, E>(
        &mut self,
        key: &str,
        doc: &str,
        check: impl Fn(Raw) -> Result<T, E>,
    ) -> Option<T>
    where
        Raw: DeserializeOwned,
        E: Display,
    {
        self.register(key, &(), doc);
        self.read_checked(key, &check)
    }

    /// Reads a span of time, written as a number of seconds. The key's name ends in `_seconds`.
    pub fn seconds(
        &mut self,
        key: &str,
        default: Duration,
        allowed: RangeInclusive<Duration>,
        doc: &str,
    ) -> Duration {
        debug_assert!(key.ends_with("_seconds"), "{key} must tell its unit");
        let (least, most) = (allowed.start().as_secs_f64(), allowed.end().as_secs_f64());
        let in_range = within(least..=most);
        let check = |seconds| {
            let seconds = in_range(seconds)?;
            Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
        };
        self.register_text(key, default.as_secs_f64().to_string(), doc);
        self.read_checked(key, &check).unwrap_or(default)
    }

    /// Reads a secret from `key`, or from the file that `<key>_file` names, without the white
    /// space around it. The stronger layer wins; both in one layer are a fault, as is an empty
    /// secret. No error ever shows the secret.
    pub fn secret(&mut self, key: &str, doc: &str) -> Option<SecretString> {
        let file_key = format!("{key}_file");
        self.register(key, &(), doc);
        self.register(&file_key, &(), &format!("File that holds `{key}`."));

        let direct = self.tree.get(key);
        let file = self.tree.get(&file_key).map(|found| found.origin);
        match (direct.map(|found| found.origin), file) {
            (None, None) => None,
            (Some(direct), Some(file)) if same_layer(&direct, &file) => {
                let problem = format!("{file_key} is set as well; keep one of the two");
                self.problem(key, &format!(" in {direct}"), &problem);
                None
            }
            (direct, file) if direct >= file => self.secret_value(key),
            _ => self.secret_file(&file_key),
        }
    }

    fn secret_value(&mut self, key: &str) -> Option<SecretString> {
        // A secret of digits alone is a text all the same when it comes from the environment.
        let text = decode::<String>(&self.tree.get(key)?);
        let problem = match text.as_deref().map(str::trim) {
            Ok("") => "is empty; expected a secret, or leave the key out",
            Ok(secret) => return Some(secret.into()),
            Err(_) => "expected a text",
        };
        self.problem(key, &key_origin(&self.tree, key), problem);
        None
    }

    fn secret_file(&mut self, file_key: &str) -> Option<SecretString> {
        let path: String = self.read(file_key)?;
        let problem = match fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => "the file is empty; expected a secret".to_owned(),
            Ok(text) => return Some(text.trim().into()),
            Err(error) => format!("the file cannot be read: {error}"),
        };
        self.refuse(file_key, &problem);
        None
    }

    fn read_checked<Raw, T, E>(
        &mut self,
        key: &str,
        check: &impl Fn(Raw) -> Result<T, E>,
    ) -> Option<T>
    where
        Raw: DeserializeOwned,
        E: Display,
    {
        let raw = self.read(key)?;
        check(raw).map_err(|error| self.refuse(key, &error.to_string())).ok()
    }

    fn read<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let found = self.tree.get(key)?;
        match decode(&found) {
            Ok(value) => Some(value),
            Err(mismatch) if mismatch.path.is_empty() => {
                self.refuse(key, &mismatch.problem);
                None
            }
            Err(mismatch) => {
                // What lies inside of a table may be a secret, so its value is not told.
                let origin = format!(" in {}", found.origin);
                let path = format!("{key}{}", mismatch.path);
                let environment = environment_name(key);
                self.note(format!("{path}{origin}: {} [env: {environment}]", mismatch.problem));
                None
            }
        }
    }

    /// Notes a problem together with the value found.
    fn refuse(&mut self, key: &str, problem: &str) {
        let found = self.tree.get(key).map(|found| describe(&found));
        self.problem(key, &found.unwrap_or_default(), problem);
    }

    fn register(&mut self, key: &str, default: &impl Serialize, doc: &str) {
        let text = match serde_json::to_string(default) {
            Ok(text) if text != "null" => text,
            _ => UNSET.to_owned(),
        };
        self.register_text(key, text, doc);
    }

    fn register_text(&mut self, key: &str, default: String, doc: &str) {
        if self.keys.iter().all(|known| known.key != key) {
            self.keys.push(KeyDoc {
                key: key.to_owned(),
                environment: environment_name(key),
                default,
                doc: doc.to_owned(),
            });
        }
    }
}

/// A rule for [`Settings::checked`]: the value lies in `range`.
pub fn within<T>(range: RangeInclusive<T>) -> impl Fn(T) -> Result<T, String>
where
    T: PartialOrd + Display,
{
    move |value| {
        if range.contains(&value) {
            Ok(value)
        } else {
            let (least, most) = (range.start(), range.end());
            Err(format!("expected a number from {least} to {most}"))
        }
    }
}

fn describe(found: &Found<'_>) -> String {
    let value = excerpt(found.value).map(|value| format!(" = {value}"));
    format!("{} in {}", value.unwrap_or_default(), found.origin)
}

fn same_layer<T>(a: &T, b: &T) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}
