//! Layered configuration: a TOML file, the environment over it, flags and aliases over that.
//!
//! [`Settings::load`] merges the layers into one tree. A service then reads its keys one by one;
//! each read registers the key with its default and documentation, and notes what is wrong
//! instead of stopping. [`Settings::finish`] reports everything at once, unknown keys included.
//! The same reads over [`Settings::empty`] give the documentation of all keys.

mod decode;
mod error;
mod keys;
mod read;
mod sources;
mod tree;
mod unknown;

use std::fmt;

pub use error::ConfigErrors;
pub use keys::Keys;
pub use read::within;
pub use sources::{Override, Sources};

use tree::Tree;

/// What one key means, for the generated reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDoc {
    /// The key with its section, such as `exporter.port`.
    pub key: String,
    /// The environment variable that sets it, such as `MCPMON__EXPORTER__PORT`.
    pub environment: String,
    /// The default as it would be written in TOML, or `unset`.
    pub default: String,
    /// One line about what the key does.
    pub doc: String,
}

/// The merged configuration, and what was read from it so far.
///
/// `Debug` shows keys and never values, since a value may be a secret.
pub struct Settings {
    tree: Tree,
    sections: &'static [&'static str],
    keys: Vec<KeyDoc>,
    /// Sections of which others read keys too.
    shared: Vec<&'static str>,
    /// Keys of our own sections that others read.
    foreign: Vec<String>,
    problems: Vec<String>,
}

impl Settings {
    /// Reads the file and merges the layers.
    ///
    /// # Errors
    /// When the file cannot be read or is not TOML; the message names file, line and column.
    pub fn load(sources: Sources) -> Result<Self, ConfigErrors> {
        let sections = sources.sections;
        let file = sources.file.clone();
        let tree = Tree::load(file.as_deref(), sources.into_layers())?;
        Ok(Self { tree, sections, ..Self::empty() })
    }

    /// Settings without any source, where every key has its default.
    pub fn empty() -> Self {
        Self {
            tree: Tree::default(),
            sections: &[],
            keys: Vec::new(),
            shared: Vec::new(),
            foreign: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Notes that a key's value breaks a rule that its reader cannot see, such as a rule about
    /// several keys. `problem` must say what would be right, and must not hold a secret.
    pub fn reject(&mut self, key: &str, problem: impl fmt::Display) {
        self.problem(key, &key_origin(&self.tree, key), &problem.to_string());
    }

    /// The names of the tables that stand directly in the table `key`, sorted: for tables whose
    /// names the user chooses, as in `[health_monitor.components.api]`.
    pub fn tables(&self, key: &str) -> Vec<String> {
        self.tree.tables(key)
    }

    /// Whether some layer sets `key`.
    pub fn is_set(&self, key: &str) -> bool {
        self.tree.get(key).is_some()
    }

    /// Says that another service owns `section`, of which this one reads some keys: those that it
    /// does not read are not unknown.
    pub fn shared(&mut self, section: &'static str) {
        self.shared.push(section);
    }

    /// Says that another service reads `key` in a section of this one.
    pub fn foreign(&mut self, key: &str) {
        self.foreign.push(key.to_owned());
    }

    /// The keys read so far, in the order of their first reading.
    pub fn documentation(&self) -> &[KeyDoc] {
        &self.keys
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All that was found wrong, in the order of reading, then every key that nobody read: in a
    /// section that was read, or in a section that no service knows. Variables of the environment
    /// in a section that was not read belong to somebody else.
    pub fn finish(mut self) -> Result<(), ConfigErrors> {
        let keys = self.keys.iter().map(|key| key.key.as_str());
        let keys: Vec<&str> = keys.chain(self.foreign.iter().map(String::as_str)).collect();
        self.problems.extend(unknown::find(&self.tree, &keys, self.sections, &self.shared));
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigErrors::new(self.problems)) }
    }

    fn problem(&mut self, key: &str, found: &str, problem: &str) {
        let environment = environment_name(key);
        self.note(format!("{key}{found}: {problem} [env: {environment}]"));
    }

    /// A key that rules over many tables is read for each of them, and complained of once.
    fn note(&mut self, line: String) {
        if !self.problems.contains(&line) {
            self.problems.push(line);
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.keys.iter().map(|key| &key.key).collect();
        f.debug_struct("Settings").field("keys", &keys).finish_non_exhaustive()
    }
}

/// `exporter.port` is set by `MCPMON__EXPORTER__PORT`.
pub fn environment_name(key: &str) -> String {
    let path = key.replace('.', "__").to_uppercase();
    format!("{}{path}", sources::PREFIX)
}

fn key_origin(tree: &Tree, key: &str) -> String {
    tree.get(key).map(|found| format!(" in {}", found.origin)).unwrap_or_default()
}
