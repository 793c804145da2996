//! Keys that nobody read: a misspelt key must not pass for its default.

use std::collections::BTreeSet;

use super::environment_name;
use super::tree::{Leaf, Origin, Tree};

/// How alike two names must be, from 0 to 1, for one to be taken for the other misspelt.
const ALIKE: f64 = 0.7;

/// One line for each unknown key or section.
///
/// A section that other services read is theirs, and so is every section that only the
/// environment names, for services may share an environment.
///
/// Of a `shared` section others read keys too.
pub(super) fn find(
    tree: &Tree,
    keys: &[&str],
    sections: &[&'static str],
    shared: &[&'static str],
) -> Vec<String> {
    let read: BTreeSet<&str> = keys.iter().map(|key| section(key)).collect();
    let known: BTreeSet<&str> = sections.iter().copied().chain(read.iter().copied()).collect();

    let mut lines = Vec::new();
    let mut unknown_sections = BTreeSet::new();
    for leaf in tree.leaves() {
        let name = section(&leaf.path);
        if shared.contains(&name) {
            continue;
        }
        if read.contains(name) {
            lines.extend(unknown_key(&leaf, keys));
        } else if !known.contains(name)
            && !matches!(leaf.origin, Origin::Environment(_))
            && unknown_sections.insert(name.to_owned())
        {
            lines.push(unknown_section(&leaf, name, keys, &known));
        }
    }
    lines
}

fn unknown_key(leaf: &Leaf, keys: &[&str]) -> Option<String> {
    let Leaf { path, origin, .. } = leaf;
    // A key may hold a whole table, whose inside its type has judged.
    let below = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
    };
    if keys.iter().any(|key| *key == path || below(key, path)) {
        return None;
    }
    if keys.iter().any(|key| below(path, key)) {
        let line = format!("{path} in {origin}: expected a section, written as [{path}]");
        return (!leaf.empty_table).then_some(line);
    }
    Some(match nearest(path, keys) {
        Some(key) => {
            let environment = environment_name(key);
            format!("{path} in {origin}: no such key; did you mean {key}? [env: {environment}]")
        }
        None => {
            let name = section(path);
            let own: Vec<_> = keys.iter().filter_map(|key| key.strip_prefix(name)).collect();
            let own = own.join(", ").replace(", .", ", ");
            let own = own.trim_start_matches('.');
            format!("{path} in {origin}: no such key; [{name}] has {own}")
        }
    })
}

fn unknown_section(leaf: &Leaf, name: &str, keys: &[&str], known: &BTreeSet<&str>) -> String {
    let Leaf { path, origin, .. } = leaf;
    if path == name && !leaf.empty_table {
        // A key above the first section.
        let own = keys.iter().find(|key| key.rsplit('.').next() == Some(name));
        let hint = own.map_or_else(
            || "keys stand in sections".to_owned(),
            |key| format!("did you mean {key}? [env: {}]", environment_name(key)),
        );
        return format!("{name} in {origin}: no such key; {hint}");
    }
    let known: Vec<&str> = known.iter().copied().collect();
    let hint = match nearest(name, &known) {
        Some(section) => format!("did you mean [{section}]?"),
        None => format!("the sections are {}", known.join(", ")),
    };
    format!("[{name}] in {origin}: no such section; {hint}")
}

/// The key that `name` most resembles, by the part in which they differ.
fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let tail = |key: &str| key.split_once('.').map_or(key, |(_, tail)| tail).to_owned();
    let alikeness = |key: &str| {
        if section(key) != section(name) && key.contains('.') {
            return 0.0;
        }
        strsim::normalized_damerau_levenshtein(&tail(key), &tail(name))
    };
    candidates
        .iter()
        .map(|key| (alikeness(key), *key))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}

fn section(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}
