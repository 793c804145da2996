//! JSON-RPC messages as the observer reads them: requests, notifications, replies.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use serde_json::value::RawValue;

use super::json::{elements, members, text};

/// Ids longer than this are kept as a hash, so that no peer decides how much memory a table takes.
const MAX_KEPT_ID: usize = 64;

/// A request's id, typed: `2` and `"2"` are different requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Integer(i64),
    /// A number that is no integer; its bits.
    Fraction(u64),
    Text(Box<str>),
    LongText(u64),
}

/// One JSON-RPC message.
#[derive(Debug)]
pub(super) enum Message<'a> {
    Request { id: Id, method: Cow<'a, str>, params: Option<&'a str> },
    Notification { method: Cow<'a, str>, params: Option<&'a str> },
    Reply { id: Option<Id>, reply: Reply<'a> },
}

/// How a request was answered.
#[derive(Debug)]
pub(super) enum Reply<'a> {
    Result(&'a str),
    Error { code: i64, message: Cow<'a, str> },
}

/// The observer's hasher: seeded per process, since peers choose what is hashed.
#[derive(Debug, Clone, Default)]
pub(super) struct Hasher(RandomState);

impl Hasher {
    pub(super) fn hash(&self, value: impl std::hash::Hash) -> u64 {
        self.0.hash_one(value)
    }
}

impl Id {
    /// The id in a message; `None` when it is missing, null or no id.
    pub(super) fn read(raw: Option<&RawValue>, hasher: &Hasher) -> Option<Self> {
        if let Some(text) = text(raw) {
            return Some(if text.len() > MAX_KEPT_ID {
                Self::LongText(hasher.hash(text.as_bytes()))
            } else {
                Self::Text(text.into())
            });
        }
        let json = raw?.get();
        if let Ok(integer) = json.parse() {
            return Some(Self::Integer(integer));
        }
        // JavaScript answers `1.0` with `1`.
        let number: f64 = serde_json::from_str(json).ok()?;
        let exact = number.fract() == 0.0 && number.abs() < (1_u64 << 53) as f64;
        Some(if exact { Self::Integer(number as i64) } else { Self::Fraction(number.to_bits()) })
    }

    /// Whether this is the id that older Python servers give an error about a message that they
    /// could not read.
    pub(super) fn is_stand_in(&self) -> bool {
        matches!(self, Self::Text(text) if &**text == "server-error")
    }
}

/// Hands every message in `line` to `each`, with its size in bytes: one, or a batch's. Returns
/// false when the line holds none, or something beside them.
pub(super) fn messages(
    line: &[u8],
    hasher: &Hasher,
    mut each: impl FnMut(Message<'_>, u64),
) -> bool {
    let text = String::from_utf8_lossy(line);
    let text = trim(&text);
    let mut understood = true;
    let mut read = |json: &str| match parse(json, hasher) {
        Some(message) => each(message, json.len() as u64),
        None => understood = false,
    };
    if text.starts_with('[') {
        let whole = elements(text, |element| read(element.get())).is_some();
        return understood && whole;
    }
    read(text);
    understood
}

/// The line without a byte order mark, a carriage return and blanks at its ends.
pub(super) fn trim(line: &str) -> &str {
    line.trim_start_matches('\u{feff}').trim_matches([' ', '\t', '\r', '\n'])
}

fn parse<'a>(json: &'a str, hasher: &Hasher) -> Option<Message<'a>> {
    let [id, method, params, result, error] =
        members(json, ["id", "method", "params", "result", "error"])?;
    let id = Id::read(id, hasher);
    if let Some(method) = text(method) {
        let params = params.map(RawValue::get);
        return Some(match id {
            Some(id) => Message::Request { id, method, params },
            None => Message::Notification { method, params },
        });
    }
    // Some peers write both, with the other one null.
    let is_error = error.filter(|error| error.get() != "null");
    let reply = match (is_error, result) {
        (Some(error), _) => {
            let [code, message] = members(error.get(), ["code", "message"]).unwrap_or([None; 2]);
            let code = code.and_then(|raw| raw.get().parse().ok()).unwrap_or(0);
            Reply::Error { code, message: text(message).unwrap_or_default() }
        }
        (None, Some(result)) => Reply::Result(result.get()),
        (None, None) => return None,
    };
    Some(Message::Reply { id, reply })
}

/// Whether an abridged message still says what it is: a reply without its id is nobody's.
pub(super) fn names_itself(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message);
    let named = members(&text, ["id", "method"]);
    named.is_some_and(|named| named.iter().any(Option::is_some))
}

/// What a failed tool said: the text of its first content block.
pub(super) fn first_text(content: Option<&RawValue>) -> Option<String> {
    let mut first = None;
    elements(content?.get(), |block| {
        if first.is_none() {
            let [said] = members(block.get(), ["text"]).unwrap_or([None]);
            first = text(said).map(Cow::into_owned);
        }
    });
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(json: &str) -> Option<Id> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        Id::read(Some(raw), &Hasher::default())
    }

    #[test]
    fn ids_are_typed() {
        assert_eq!(id("2"), Some(Id::Integer(2)));
        assert_eq!(id("\"2\""), Some(Id::Text("2".into())));
        assert_ne!(id("2"), id("\"2\""));
        assert_eq!(id("2.0"), Some(Id::Integer(2)));
        assert_ne!(id("2.5"), id("2"));
        assert_eq!(id("-7"), Some(Id::Integer(-7)));
    }

    #[test]
    fn null_and_composite_values_are_no_ids() {
        for json in ["null", "true", "[1]", "{}"] {
            assert_eq!(id(json), None, "{json}");
        }
        assert_eq!(Id::read(None, &Hasher::default()), None);
    }

    #[test]
    fn a_long_id_is_kept_as_a_hash() {
        let long = serde_json::to_string(&"x".repeat(MAX_KEPT_ID + 1)).unwrap();
        assert!(matches!(id(&long), Some(Id::LongText(_))));
    }

    #[test]
    fn a_message_says_its_own_size_in_a_batch() {
        let batch = br#"[ {"jsonrpc":"2.0","id":1,"method":"ping"} , {"result":{},"id":"1"}]"#;
        let mut sizes = Vec::new();
        assert!(messages(batch, &Hasher::default(), |_, size| sizes.push(size)));
        assert_eq!(sizes, [40, 22]);
    }

    #[test]
    fn a_byte_order_mark_and_a_carriage_return_are_no_part_of_the_message() {
        let mut sizes = Vec::new();
        let line = "\u{feff}{\"id\":1,\"method\":\"ping\"}\r";
        assert!(messages(line.as_bytes(), &Hasher::default(), |_, size| sizes.push(size)));
        assert_eq!(sizes, [24]);
    }
}
