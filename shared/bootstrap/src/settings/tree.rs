//! The merged layers: a tree whose leaves remember where they came from.

use std::fmt;
use std::fs;
use std::path::Path;

use config::{Config, ConfigError, File, FileFormat, Map, Source as _, Value, ValueKind};

use super::error::ConfigErrors;
use super::sources::Layer;

/// The merged values.
#[derive(Default)]
pub(super) struct Tree {
    root: Map<String, Value>,
    file: String,
}

/// Where a value came from. The order is the order of the layers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    File(String),
    Environment(String),
    Override(String),
}

/// A value and its origin.
pub(super) struct Found<'a> {
    pub(super) value: &'a Value,
    pub(super) origin: Origin,
}

/// A path on which a value lies, for the search after unknown keys.
pub(super) struct Leaf {
    pub(super) path: String,
    pub(super) origin: Origin,
    /// Whether it is a table without entries.
    pub(super) empty_table: bool,
}

impl Tree {
    pub(super) fn load(file: Option<&Path>, layers: [Layer; 2]) -> Result<Self, ConfigErrors> {
        let [environment, overrides] = layers;
        let mut builder = Config::builder();
        let mut name = String::new();
        if let Some(path) = file {
            name = path.display().to_string();
            let text = read_file(path)?;
            let table = File::from_str(&text, FileFormat::Toml);
            // Parsed on its own first, so that its fault is known with line and column.
            table.collect().map_err(|error| syntax(&name, &text, &error))?;
            builder = builder.add_source(table);
        }
        let root = builder
            .add_source(environment)
            .add_source(overrides)
            .build()
            .and_then(|config| config.collect())
            .map_err(|error| ConfigErrors::new(vec![error.to_string()]))?;
        Ok(Self { root, file: name })
    }

    /// The value at a dotted key.
    pub(super) fn get(&self, key: &str) -> Option<Found<'_>> {
        let (first, rest) = key.split_once('.').unwrap_or((key, ""));
        let value = rest.split('.').filter(|segment| !segment.is_empty()).try_fold(
            self.root.get(first)?,
            |value, segment| match &value.kind {
                ValueKind::Table(table) => table.get(segment),
                _ => None,
            },
        )?;
        let origin = self.origin(value);
        Some(Found { value, origin })
    }

    /// The names of the tables in the table at a dotted key, sorted.
    pub(super) fn tables(&self, key: &str) -> Vec<String> {
        let Some(Found { value: Value { kind: ValueKind::Table(table), .. }, .. }) = self.get(key)
        else {
            return Vec::new();
        };
        let is_table = |value: &Value| matches!(value.kind, ValueKind::Table(_));
        let mut names: Vec<_> = table
            .iter()
            .filter(|(_, value)| is_table(value))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    /// All paths that lead to a value, sorted.
    pub(super) fn leaves(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        self.collect_leaves("", &self.root, &mut leaves);
        leaves.sort_by(|a, b| a.path.cmp(&b.path));
        leaves
    }

    fn collect_leaves(&self, prefix: &str, table: &Map<String, Value>, leaves: &mut Vec<Leaf>) {
        for (name, value) in table {
            let path = format!("{prefix}{name}");
            match &value.kind {
                ValueKind::Table(table) if !table.is_empty() => {
                    self.collect_leaves(&format!("{path}."), table, leaves);
                }
                kind => leaves.push(Leaf {
                    path,
                    origin: self.origin(value),
                    empty_table: matches!(kind, ValueKind::Table(_)),
                }),
            }
        }
    }

    /// A table comes from where its strongest entry comes from.
    fn origin(&self, value: &Value) -> Origin {
        let entries = match &value.kind {
            ValueKind::Table(table) => table.values().map(|entry| self.origin(entry)).max(),
            _ => None,
        };
        entries.unwrap_or_else(|| Origin::of(value, &self.file))
    }
}

impl Origin {
    /// A text that remembers this origin in the one string that `config` keeps.
    pub(super) fn label(&self, text: String) -> Value {
        let label = match self {
            Self::File(name) => format!("file {name}"),
            Self::Environment(name) => format!("environment {name}"),
            Self::Override(name) => format!("override {name}"),
        };
        Value::new(Some(&label), text)
    }

    fn of(value: &Value, file: &str) -> Self {
        match value.origin().and_then(|label| label.split_once(' ')) {
            Some(("environment", name)) => Self::Environment(name.to_owned()),
            Some(("override", name)) => Self::Override(name.to_owned()),
            _ => Self::File(file.to_owned()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::File(name) | Self::Environment(name) | Self::Override(name)) = self;
        f.write_str(name)
    }
}

fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    fs::read_to_string(path).map_err(|error| {
        let line = format!("{}: the file cannot be read: {error}", path.display());
        ConfigErrors::new(vec![line])
    })
}

/// `file:line:column: message`. The parser's own rendering quotes the line, which may be the one
/// that holds a secret.
fn syntax(file: &str, text: &str, error: &ConfigError) -> ConfigErrors {
    let fault = match error {
        ConfigError::FileParse { cause, .. } => cause.downcast_ref::<toml::de::Error>(),
        _ => None,
    };
    let line = match fault {
        Some(fault) => {
            let start = fault.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("{file}:{line}:{column}: not valid TOML: {}", fault.message())
        }
        None => format!("{file}: not valid TOML: {error}"),
    };
    ConfigErrors::new(vec![line])
}
