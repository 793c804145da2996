//! The tools that a server lists, gathered over the pages of `tools/list`.

use std::hash::Hasher as _;

use fnv::FnvHasher;
use mcpmon_metrics::{Event, Name};
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{elements, members, text};
use super::message::Hasher;

/// The most tools that one listing remembers. The exporter admits 256 names per server.
const MAX_TOOLS: usize = 1_024;

/// The most pages of a listing that are told.
const MAX_PAGES: usize = 1_024;

/// The listing of one connection as far as its pages have come.
#[derive(Debug, Default)]
pub(super) struct Listing {
    tools: Vec<Tool>,
    bytes: u64,
    /// The cursor that the next page must be asked for with, as a hash.
    next: Option<u64>,
    /// Tools were left out; the listing can no longer be complete.
    truncated: bool,
    /// What each page of this listing came to, and of the listing before it.
    pages: Vec<Page>,
    former: Vec<Page>,
}

/// What was known after a page: the fingerprint, and whether that was all.
type Page = (u64, bool);

#[derive(Debug)]
struct Tool {
    name: Name<'static>,
    schema: u64,
}

impl Listing {
    /// Reads the reply to a request with the given cursor, and returns what is known now; nothing
    /// when the listing before came to the same there. Clients list again and again, and the
    /// monitor's heartbeat repeats the last complete listing.
    pub(super) fn page(
        &mut self,
        cursor: Option<u64>,
        tools: &RawValue,
        next: Option<&RawValue>,
        bytes: u64,
        hasher: &Hasher,
    ) -> Option<Event<'static>> {
        if cursor.is_none() || cursor != self.next {
            // The first page, or a page of a listing whose start was not seen.
            let former = std::mem::take(&mut self.pages);
            *self = Self { truncated: cursor.is_some(), former, ..Self::default() };
        }
        self.bytes += bytes;
        self.next = text(next).map(|cursor| hasher.hash(&*cursor));
        let whole = elements(tools.get(), |tool| self.add(tool));
        self.truncated |= whole.is_none();
        let complete = self.next.is_none() && !self.truncated;
        let fingerprint = self.fingerprint();
        let page = (fingerprint, complete);
        if self.pages.len() == MAX_PAGES || self.pages.last() == Some(&page) {
            return None;
        }
        self.pages.push(page);
        if self.former.get(self.pages.len() - 1) == Some(&page) {
            return None;
        }
        Some(Event::ToolsListed {
            tools: self.tools.iter().map(|tool| tool.name.clone()).collect(),
            schema_hash: format!("{fingerprint:016x}").into(),
            complete,
            bytes: Some(self.bytes),
        })
    }

    fn add(&mut self, tool: &RawValue) {
        let [name, schema] = members(tool.get(), ["name", "inputSchema"]).unwrap_or([None; 2]);
        let name = text(name).and_then(|name| Name::new(name.into_owned()).ok());
        match name {
            Some(name) if self.tools.len() < MAX_TOOLS => {
                self.tools.push(Tool { name, schema: schema.map_or(0, digest) });
            }
            _ => self.truncated = true,
        }
    }

    /// A hash over names and schemas that does not depend on their order.
    fn fingerprint(&self) -> u64 {
        let mut tools: Vec<_> = self.tools.iter().map(|t| (t.name.as_str(), t.schema)).collect();
        tools.sort_unstable();
        let mut hash = FnvHasher::default();
        for (name, schema) in tools {
            write_text(&mut hash, name);
            hash.write(&schema.to_be_bytes());
        }
        hash.finish()
    }
}

/// A hash of a JSON value that depends neither on the order of members nor on blanks, nor on
/// the release, the platform or the process.
fn digest(schema: &RawValue) -> u64 {
    let mut hash = FnvHasher::default();
    match serde_json::from_str::<Value>(schema.get()) {
        Ok(value) => write(&mut hash, &value),
        // Nested deeper than the parser goes: as it stands.
        Err(_) => write_text(&mut hash, schema.get()),
    }
    hash.finish()
}

fn write(hash: &mut FnvHasher, value: &Value) {
    match value {
        Value::Null => hash.write(b"n"),
        Value::Bool(true) => hash.write(b"t"),
        Value::Bool(false) => hash.write(b"f"),
        Value::Number(number) => write_text(hash, &number.to_string()),
        Value::String(text) => {
            hash.write(b"s");
            write_text(hash, text);
        }
        Value::Array(items) => {
            hash.write(b"[");
            items.iter().for_each(|item| write(hash, item));
            hash.write(b"]");
        }
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            hash.write(b"{");
            for (key, value) in members {
                write_text(hash, key);
                write(hash, value);
            }
            hash.write(b"}");
        }
    }
}

fn write_text(hash: &mut FnvHasher, text: &str) {
    hash.write(&(text.len() as u64).to_be_bytes());
    hash.write(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = (Vec<String>, String, bool, Option<u64>);

    fn page(listing: &mut Listing, cursor: Option<&str>, tools: &str, next: Option<&str>) -> Seen {
        let hasher = Hasher::default();
        page_with(listing, &hasher, cursor, tools, next)
    }

    fn page_with(
        listing: &mut Listing,
        hasher: &Hasher,
        cursor: Option<&str>,
        tools: &str,
        next: Option<&str>,
    ) -> Seen {
        let next = next.map(|next| format!("\"{next}\""));
        let next = next.as_deref().map(|next| serde_json::from_str(next).unwrap());
        let tools = serde_json::from_str(tools).unwrap();
        let cursor = cursor.map(|cursor| hasher.hash(cursor));
        match listing.page(cursor, tools, next, 10, hasher).unwrap() {
            Event::ToolsListed { tools, schema_hash, complete, bytes } => {
                let tools = tools.iter().map(|name| name.as_str().to_owned()).collect();
                (tools, schema_hash.into_owned(), complete, bytes)
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    #[test]
    fn names_gather_over_pages() {
        let (mut listing, hasher) = (Listing::default(), Hasher::default());
        let (tools, _, complete, bytes) =
            page_with(&mut listing, &hasher, None, r#"[{"name":"a"}]"#, Some("2"));
        assert_eq!((tools, complete, bytes), (vec!["a".to_owned()], false, Some(10)));
        let (tools, _, complete, bytes) =
            page_with(&mut listing, &hasher, Some("2"), r#"[{"name":"b"}]"#, None);
        assert_eq!(
            (tools, complete, bytes),
            (vec!["a".to_owned(), "b".to_owned()], true, Some(20))
        );
    }

    #[test]
    fn a_page_whose_start_was_not_seen_is_never_complete() {
        let (tools, _, complete, _) =
            page(&mut Listing::default(), Some("9"), r#"[{"name":"z"}]"#, None);
        assert_eq!((tools, complete), (vec!["z".to_owned()], false));
    }

    #[test]
    fn the_hash_is_stable_and_knows_no_order() {
        let a = r#"[{"name":"a","inputSchema":{"x":1,"y":[true,null]}},{"name":"b"}]"#;
        let b = r#"[{"name":"b"},{"name":"a","inputSchema":{"y":[true, null],"x":1}}]"#;
        let c = r#"[{"name":"b"},{"name":"a","inputSchema":{"y":[null,true],"x":1}}]"#;
        let hash = |tools| page(&mut Listing::default(), None, tools, None).1;
        assert_eq!(hash(a), hash(b));
        assert_ne!(hash(a), hash(c));
        // Pinned: dashboards compare hashes across releases.
        assert_eq!(hash(r#"[{"name":"a"}]"#), "109f84719d5eb289");
    }

    #[test]
    fn a_tool_that_is_no_tool_makes_the_listing_incomplete() {
        let (tools, _, complete, _) =
            page(&mut Listing::default(), None, r#"[{"name":"a"},{"name":7},3]"#, None);
        assert_eq!((tools, complete), (vec!["a".to_owned()], false));
    }
}
