//! The tools that a server lists, page by page, and a number for each that changes with its input
//! schema.
//!
//! Only names, numbers and flags are kept, and the pages have a limit, so that a server that
//! never ends its listing costs time and no memory.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hasher as _;
use std::time::Duration;

use fnv::FnvHasher;
use rmcp::model::{
    ClientRequest, ListToolsRequest, ListToolsResult, PaginatedRequestParams, ServerResult,
};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::{Fault, Session};

const MAX_PAGES: usize = 100;
const MAX_TOOLS: usize = 10_000;
/// The specification allows 128.
const MAX_NAME_BYTES: usize = 256;
const METHOD: &str = "tools/list";

/// What a server lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The tools by name.
    pub tools: BTreeMap<String, Tool>,
    /// Why the listing was not read to its end; none when it was.
    pub incomplete: Option<String>,
}

/// One tool as it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// FNV over the name and the canonical JSON of the input schema: the same in every process.
    pub schema_hash: u64,
    /// Whether the input schema is a JSON schema for an object.
    pub schema_valid: bool,
    /// Whether the server says that the tool changes nothing (`readOnlyHint`).
    pub read_only: bool,
}

/// One page, read leniently: one bad tool must not hide the others.
struct Page {
    tools: Vec<(String, Tool)>,
    next: Option<String>,
}

impl Session {
    /// Lists all tools.
    ///
    /// # Errors
    /// What went wrong within `time`. A listing that does not end is none: it is incomplete.
    pub async fn list_tools(&mut self, time: Duration) -> Result<Listing, Fault> {
        let until = Instant::now() + time;
        let mut listing = Listing::default();
        let mut cursors = HashSet::new();
        let mut cursor = None;
        for _ in 0..MAX_PAGES {
            let left = until.saturating_duration_since(Instant::now());
            let page = match self.page(cursor.take(), left).await {
                // A server without tools need not know the method.
                Err(fault) if fault.is_method_not_found() && !self.server().has_tools => {
                    return Ok(listing);
                }
                // The time is the whole listing's.
                Err(Fault::Timeout { asked, .. }) => {
                    return Err(Fault::Timeout { asked, after: time });
                }
                page => page?,
            };
            if !listing.add(page.tools) {
                return Ok(listing);
            }
            let Some(next) = page.next else { return Ok(listing) };
            // A cursor can be long; its hash is enough to know it again.
            if !cursors.insert(fnv(next.as_bytes())) {
                listing.note("a cursor comes twice".to_owned());
                return Ok(listing);
            }
            cursor = Some(next);
        }
        listing.note(format!("it has more than {MAX_PAGES} pages"));
        Ok(listing)
    }

    async fn page(&mut self, cursor: Option<String>, time: Duration) -> Result<Page, Fault> {
        let params = PaginatedRequestParams::default().with_cursor(cursor);
        let request = ListToolsRequest { params: Some(params), ..Default::default() };
        match self.ask(METHOD, ClientRequest::ListToolsRequest(request), time).await? {
            ServerResult::ListToolsResult(page) => Ok(page.into()),
            // What rmcp finds no type for.
            ServerResult::CustomResult(page) => Page::lenient(&page.0),
            _ => Err(not_a_listing()),
        }
    }
}

impl Listing {
    /// Whether all had room; the first that has none ends the listing.
    fn add(&mut self, tools: Vec<(String, Tool)>) -> bool {
        for (name, tool) in tools {
            if name.len() > MAX_NAME_BYTES {
                self.note(format!("a name is longer than {MAX_NAME_BYTES} bytes"));
            } else if self.tools.len() < MAX_TOOLS || self.tools.contains_key(&name) {
                self.tools.insert(name, tool);
            } else {
                self.note(format!("it has more than {MAX_TOOLS} tools"));
                return false;
            }
        }
        true
    }

    fn note(&mut self, why: String) {
        self.incomplete.get_or_insert(why);
    }
}

impl From<ListToolsResult> for Page {
    fn from(page: ListToolsResult) -> Self {
        let tool = |tool: rmcp::model::Tool| {
            let hint = tool.annotations.and_then(|annotations| annotations.read_only_hint);
            let schema = schema_of(&tool.name, &tool.input_schema);
            (tool.name.into_owned(), Tool { read_only: hint == Some(true), ..schema })
        };
        Self { tools: page.tools.into_iter().map(tool).collect(), next: page.next_cursor }
    }
}

impl Page {
    fn lenient(page: &Value) -> Result<Self, Fault> {
        let tools = page.get("tools").and_then(Value::as_array).ok_or_else(not_a_listing)?;
        let tool = |tool: &Value| {
            let name = tool.get("name")?.as_str()?;
            let empty = Map::new();
            let schema = tool.get("inputSchema").and_then(Value::as_object).unwrap_or(&empty);
            let hint = tool.pointer("/annotations/readOnlyHint") == Some(&Value::Bool(true));
            Some((name.to_owned(), Tool { read_only: hint, ..schema_of(name, schema) }))
        };
        let next = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { tools: tools.iter().filter_map(tool).collect(), next })
    }
}

fn not_a_listing() -> Fault {
    Fault::NotMcp(format!("its answer to {METHOD} is no listing"))
}

fn schema_of(name: &str, schema: &Map<String, Value>) -> Tool {
    let mut hasher = FnvHasher::default();
    hasher.write(name.as_bytes());
    hasher.write_u8(0);
    hash_object(&mut hasher, schema);
    Tool { schema_hash: hasher.finish(), schema_valid: is_valid(schema), read_only: false }
}

/// A schema for an object, in the parts that a client relies on.
fn is_valid(schema: &Map<String, Value>) -> bool {
    let names =
        |value: &Value| value.as_array().is_some_and(|names| names.iter().all(Value::is_string));
    schema.get("type").and_then(Value::as_str) == Some("object")
        && schema.get("properties").is_none_or(Value::is_object)
        && schema.get("required").is_none_or(names)
}

/// The value's canonical JSON: keys sorted, no white space.
fn hash_value(hasher: &mut FnvHasher, value: &Value) {
    match value {
        Value::Object(object) => hash_object(hasher, object),
        Value::Array(items) => {
            hasher.write_u8(b'[');
            for (at, item) in items.iter().enumerate() {
                hash_comma(hasher, at);
                hash_value(hasher, item);
            }
            hasher.write_u8(b']');
        }
        scalar => hasher.write(scalar.to_string().as_bytes()),
    }
}

fn hash_object(hasher: &mut FnvHasher, object: &Map<String, Value>) {
    // A map may keep the order of arrival, by a feature that some other crate turns on.
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    hasher.write_u8(b'{');
    for (at, (key, value)) in entries.into_iter().enumerate() {
        hash_comma(hasher, at);
        hasher.write(Value::from(key.as_str()).to_string().as_bytes());
        hasher.write_u8(b':');
        hash_value(hasher, value);
    }
    hasher.write_u8(b'}');
}

fn hash_comma(hasher: &mut FnvHasher, at: usize) {
    if at > 0 {
        hasher.write_u8(b',');
    }
}

fn fnv(bytes: &[u8]) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hash(name: &str, schema: &Value) -> u64 {
        schema_of(name, schema.as_object().unwrap()).schema_hash
    }

    #[test]
    fn the_hash_is_that_of_the_schema_and_not_of_its_writing() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let same: Value =
            serde_json::from_str(r#"{ "properties": {"a":{"type":"string"}}, "type":"object"}"#)
                .unwrap();
        assert_eq!(hash("t", &schema), hash("t", &same));
        // Stored by one version and compared by the next.
        assert_eq!(hash("t", &json!({"type": "object"})), 0xf94ef2f988d801a0);
        assert_ne!(hash("t", &schema), hash("u", &schema));
        let other = json!({"type": "object", "properties": {"a": {"type": "number"}}});
        assert_ne!(hash("t", &schema), hash("t", &other));
        assert_ne!(hash("t", &json!({"a": ["b", "c"]})), hash("t", &json!({"a": ["b,c"]})));
    }

    #[test]
    fn a_schema_is_valid_when_it_describes_an_object() {
        let valid = |schema: Value| is_valid(schema.as_object().unwrap());
        assert!(valid(json!({"type": "object"})));
        assert!(valid(json!({"type": "object", "properties": {}, "required": ["a"]})));
        assert!(!valid(json!({})));
        assert!(!valid(json!({"type": "string"})));
        assert!(!valid(json!({"type": "object", "properties": []})));
        assert!(!valid(json!({"type": "object", "required": [1]})));
    }

    #[test]
    fn one_bad_tool_does_not_hide_the_others() {
        let page = json!({"nextCursor": "2", "tools": [
            {"name": "bad", "inputSchema": "object"},
            {"inputSchema": {"type": "object"}},
            {"name": "good", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}},
        ]});
        let page = Page::lenient(&page).unwrap_or_else(|fault| panic!("{fault}"));
        let tools: BTreeMap<_, _> = page.tools.into_iter().collect();
        assert_eq!(page.next.as_deref(), Some("2"));
        assert!(!tools["bad"].schema_valid && !tools["bad"].read_only);
        assert!(tools["good"].schema_valid && tools["good"].read_only);
        assert_eq!(tools.len(), 2);
        assert!(Page::lenient(&json!({"tools": {}})).is_err());
    }
}
