//! Tolerant reading of JSON that strangers wrote: borrowed, in one pass, only what is asked for.
//!
//! Members may stand in any order (TypeScript writes `result` first and `id` last), may repeat
//! (the last one counts), and may have any type: who asks checks.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of the object `json` that have the given names; `None` when `json` is no object.
pub(crate) fn members<'a, const N: usize>(
    json: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    let mut parser = serde_json::Deserializer::from_str(json);
    let members = Members(names).deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    Some(members)
}

/// Calls `each` with every element of the array `json`; `None` when `json` is no array. Elements
/// before a fault are handed out.
pub(crate) fn elements<'a>(json: &'a str, each: impl FnMut(&'a RawValue)) -> Option<()> {
    let mut parser = serde_json::Deserializer::from_str(json);
    Elements(each).deserialize(&mut parser).ok()?;
    parser.end().ok()
}

/// The text of a JSON string.
pub(crate) fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    // Ids are asked for their text, and most are numbers: an error would be made for each.
    let json = raw?.get();
    if !json.starts_with('"') {
        return None;
    }
    // A string without escapes can be borrowed, and most have none.
    match serde_json::from_str::<&str>(json) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(_) => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
    }
}

/// Whether the value is `true`, and not merely truthy.
pub(crate) fn is_true(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get() == "true")
}

struct Members<'n, const N: usize>([&'n str; N]);

impl<'a, const N: usize> DeserializeSeed<'a> for Members<'_, N> {
    type Value = [Option<&'a RawValue>; N];

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a, const N: usize> Visitor<'a> for Members<'_, N> {
    type Value = [Option<&'a RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(position) = map.next_key_seed(Position(&self.0))? {
            match position {
                Some(position) => found[position] = Some(map.next_value()?),
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(found)
    }
}

/// Reads a key as its position among the names.
struct Position<'n>(&'n [&'n str]);

impl<'a> DeserializeSeed<'a> for Position<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Position<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

struct Elements<F>(F);

impl<'a, F: FnMut(&'a RawValue)> DeserializeSeed<'a> for Elements<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a, F: FnMut(&'a RawValue)> Visitor<'a> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element::<&'a RawValue>()? {
            (self.0)(element);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_any_order_and_the_last_of_a_name_counts() {
        let [id, method] =
            members(r#" {"result":{"id":9},"id":1,"\u0069d":2} "#, ["id", "method"]).unwrap();
        assert_eq!(id.unwrap().get(), "2");
        assert!(method.is_none());
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for json in ["", "[]", "1", "{\"id\":1", "{\"id\":1} x"] {
            assert_eq!(members(json, ["id"]).map(|_| ()), None, "{json}");
        }
    }

    #[test]
    fn texts_are_unescaped_and_numbers_are_no_texts() {
        let [plain, escaped, number] =
            members(r#"{"a":"x","b":"\u00e9\n","c":1}"#, ["a", "b", "c"]).unwrap();
        assert!(matches!(text(plain), Some(Cow::Borrowed("x"))));
        assert_eq!(text(escaped).unwrap(), "é\n");
        assert_eq!(text(number), None);
    }

    #[test]
    fn elements_are_handed_out_one_by_one() {
        let mut seen = Vec::new();
        elements("[1, {\"a\":2}]", |raw| seen.push(raw.get())).unwrap();
        assert_eq!(seen, ["1", "{\"a\":2}"]);
        assert!(elements("{}", |_| ()).is_none());
    }
}
