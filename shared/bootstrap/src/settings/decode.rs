//! From a merged value to a typed one. `config` would read `true` as 1 and 2.7 as 3; here a value
//! of the file has its type, and only a text from environment or flags is read as what is wanted.

use config::{Value, ValueKind};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::Segment;

use super::tree::{Found, Origin};

/// Longest excerpt of a value in an error, in characters.
const EXCERPT: usize = 80;

/// Why a value is not of the wanted type.
#[derive(Debug)]
pub(super) struct Mismatch {
    /// The path inside of the value, with its leading dot; empty for the value itself.
    pub(super) path: String,
    /// What would be right.
    pub(super) problem: String,
}

/// The value as a `T`.
pub(super) fn decode<T: DeserializeOwned>(found: &Found<'_>) -> Result<T, Mismatch> {
    let ValueKind::String(text) = &found.value.kind else {
        return typed(json(found.value));
    };
    let as_text = typed(Json::String(text.clone()));
    if as_text.is_ok() || matches!(found.origin, Origin::File(_)) {
        return as_text;
    }
    let as_literal = match literal(text) {
        Some(literal) => typed(literal),
        None => as_text,
    };
    as_literal.or_else(|mismatch| {
        let items = text.split(',').map(|item| Json::from(item.trim()));
        typed(Json::Array(items.collect())).map_err(|_| mismatch)
    })
}

/// The value for an error message: texts in quotes, long ones cut, of tables nothing at all.
pub(super) fn excerpt(value: &Value) -> Option<String> {
    let text = match &value.kind {
        ValueKind::Table(_) | ValueKind::Array(_) | ValueKind::Nil => return None,
        ValueKind::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    if text.chars().count() <= EXCERPT {
        return Some(text);
    }
    Some(text.chars().take(EXCERPT).chain(['…']).collect())
}

fn typed<T: DeserializeOwned>(json: Json) -> Result<T, Mismatch> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path: String = error
            .path()
            .iter()
            .map(|segment| match segment {
                Segment::Seq { index } => format!("[{index}]"),
                other => format!(".{other}"),
            })
            .collect();
        Mismatch { path, problem: what_is_right(&error.inner().to_string()) }
    })
}

/// A text as a boolean, number, list or table. Texts need no quotes, so they stay texts.
fn literal(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok().filter(|json: &Json| !json.is_string() && !json.is_null())
}

fn json(value: &Value) -> Json {
    match &value.kind {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(value) => Json::from(*value),
        ValueKind::I64(value) => Json::from(*value),
        ValueKind::U64(value) => Json::from(*value),
        ValueKind::Float(value) => Json::from(*value),
        // TOML has no such numbers; as text they are refused where a number is wanted.
        ValueKind::I128(value) => Json::from(value.to_string()),
        ValueKind::U128(value) => Json::from(value.to_string()),
        ValueKind::String(text) if value.origin().is_some() => {
            // A variable that reaches into a table: nobody says which type is wanted there.
            literal(text).unwrap_or_else(|| Json::from(text.as_str()))
        }
        ValueKind::String(text) => Json::from(text.as_str()),
        ValueKind::Array(items) => items.iter().map(json).collect(),
        ValueKind::Table(table) => table.iter().map(|(k, v)| (k.clone(), json(v))).collect(),
    }
}

/// serde tells the value and what was expected; the value is told by the caller, who knows
/// whether it may be told.
fn what_is_right(message: &str) -> String {
    let told = ["invalid type", "invalid value", "invalid length", "unknown variant"];
    match message.rsplit_once(", expected ") {
        Some((head, wanted)) if told.iter().any(|start| head.starts_with(start)) => {
            format!("expected {}", plain_words(wanted))
        }
        _ => message.to_owned(),
    }
}

fn plain_words(wanted: &str) -> &str {
    match wanted {
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        "a map" => "a table",
        "f32" | "f64" => "a number",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a nonzero u16" => "a whole number from 1 to 65535",
        other => other,
    }
}
