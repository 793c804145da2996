//! Places in a result: JSON pointers (RFC 6901) that also go into texts which hold JSON, as the
//! results of many servers do. Read from the text, without making values of all of it.

use mcpmon_metrics::Name;

use crate::observer::json::{elements, members, text};

/// A JSON pointer into a result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place(Vec<String>);

/// A name that a rule gives, or the place where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Given(Name<'static>),
    At(Place),
}

impl Place {
    /// Reads a pointer such as `/_meta/usage/input_tokens`.
    pub(super) fn new(pointer: &str) -> Option<Self> {
        let steps = pointer.strip_prefix('/')?.split('/');
        Some(Self(steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect()))
    }

    /// The text there.
    pub(super) fn text(&self, result: &str) -> Option<String> {
        find(result, &self.0, &|raw| serde_json::from_str(raw).ok())
    }

    /// The whole number there that is not negative.
    pub(super) fn count(&self, result: &str) -> Option<u64> {
        find(result, &self.0, &|raw| serde_json::from_str(raw).ok())
    }
}

impl Value {
    pub(super) fn name(&self, result: &str) -> Option<Name<'static>> {
        match self {
            Self::Given(name) => Some(name.clone()),
            Self::At(place) => Name::new(place.text(result)?).ok(),
        }
    }
}

fn find<T>(json: &str, steps: &[String], read: &impl Fn(&str) -> Option<T>) -> Option<T> {
    let json = json.trim();
    let Some((step, rest)) = steps.split_first() else { return read(json) };
    if json.starts_with('{') {
        let [member] = members(json, [step.as_str()])?;
        return find(member?.get(), rest, read);
    }
    if json.starts_with('[') {
        let (position, mut at, mut found) = (step.parse::<usize>().ok()?, 0, None);
        elements(json, |element| {
            if at == position {
                found = Some(element);
            }
            at += 1;
        })?;
        return find(found?.get(), rest, read);
    }
    let raw = json.starts_with('"').then(|| serde_json::from_str(json).ok()).flatten();
    // Shorter each time, so this ends.
    find(&text(raw)?, steps, read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"content":[{"type":"text","text":" {\"a/b\": {\"x~y\": [1, \"two\"]}} "}],
        "n": -1, "f": 1.5, "big": 18446744073709551615, "null": null}"#;

    fn text_at(pointer: &str) -> Option<String> {
        Place::new(pointer).unwrap().text(RESULT)
    }

    #[test]
    fn a_pointer_goes_through_objects_arrays_and_texts_that_hold_json() {
        assert_eq!(text_at("/content/0/type").as_deref(), Some("text"));
        assert_eq!(text_at("/content/0/text/a~1b/x~0y/1").as_deref(), Some("two"));
        let place = Place::new("/content/0/text/a~1b/x~0y/0").unwrap();
        assert_eq!((place.count(RESULT), place.text(RESULT)), (Some(1), None));
    }

    #[test]
    fn what_is_not_there_is_nothing() {
        for pointer in ["/content/1/type", "/content/x", "/content/0/type/x", "/", "/n/x", "/null"]
        {
            assert_eq!(text_at(pointer), None, "{pointer}");
        }
        let count = |pointer| Place::new(pointer).unwrap().count(RESULT);
        assert_eq!([count("/n"), count("/f"), count("/null")], [None; 3]);
        assert_eq!(count("/big"), Some(u64::MAX));
        assert_eq!(Place::new("n"), None);
        assert_eq!(Place::new("/a").unwrap().text("no json"), None);
    }
}
