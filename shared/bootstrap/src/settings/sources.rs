//! Where configuration comes from: file, environment, overrides, in ascending order.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use config::{ConfigError, Map, Source, Value};

use super::tree::Origin;

/// What every environment variable of the configuration starts with.
pub(super) const PREFIX: &str = "MCPMON__";

/// The layers to merge. All are values, so that a test needs neither process nor environment.
///
/// `Debug` shows no values, since one may be a secret.
#[derive(Default)]
pub struct Sources {
    /// The TOML file, if there is one.
    pub file: Option<PathBuf>,
    /// The process's environment. Variables without the prefix `MCPMON__` matter to aliases
    /// only; an empty variable counts as unset.
    pub environment: BTreeMap<String, String>,
    /// What flags and aliases set. A later one wins.
    pub overrides: Vec<Override>,
    /// The sections of all services that may share the file. A section of the file that is not
    /// listed and not read is an error.
    pub sections: &'static [&'static str],
}

/// One value set by a flag, or by an environment variable with a name of its own.
pub struct Override {
    /// The key with its section.
    pub key: String,
    /// The text, read as an environment variable's would be.
    pub value: String,
    /// What the user would recognise: `--port`, `METRICS_PORT`.
    pub origin: String,
}

impl Sources {
    /// The file and this process's environment.
    pub fn from_process(file: Option<PathBuf>, sections: &'static [&'static str]) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            file,
            environment: std::env::vars_os()
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            overrides: Vec::new(),
            sections,
        }
    }

    /// Lets an environment variable with a name of its own set `key`. Call before
    /// [`flag`](Self::flag), which must win.
    #[must_use]
    pub fn alias(mut self, variable: &str, key: &str) -> Self {
        let value = self.environment.get(variable).cloned();
        self.set(key, value.filter(|value| !value.is_empty()), variable);
        self
    }

    /// Lets a flag set `key` when it was given.
    #[must_use]
    pub fn flag<T: ToString>(mut self, name: &str, key: &str, value: Option<T>) -> Self {
        self.set(key, value.map(|value| value.to_string()), name);
        self
    }

    fn set(&mut self, key: &str, value: Option<String>, origin: &str) {
        self.overrides.extend(value.map(|value| Override {
            key: key.to_owned(),
            value,
            origin: origin.to_owned(),
        }));
    }

    /// The environment and the overrides as layers over the file.
    pub(super) fn into_layers(self) -> [Layer; 2] {
        let environment = self.environment.into_iter().filter_map(|(name, value)| {
            let path = name.strip_prefix(PREFIX)?;
            let key = path.to_lowercase().replace("__", ".");
            (!value.is_empty()).then(|| (key, Origin::Environment(name).label(value)))
        });
        let overrides = self.overrides.into_iter().map(|given| {
            let origin = Origin::Override(given.origin);
            (given.key, origin.label(given.value))
        });
        [Layer(environment.collect()), Layer(overrides.collect())]
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("overrides", &self.overrides)
            .field("sections", &self.sections)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.key, self.origin)
    }
}

/// Keys with their texts. `config`'s own environment source forgets the variables' names, which
/// our errors must tell.
#[derive(Clone)]
pub(super) struct Layer(Map<String, Value>);

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}
