//! What an MCP server's listings say of its tools: which can be called, and what changed.

use crate::finding::{Finding, Inventory};
use crate::record::Tools;

/// How many tools a warning names.
const NAMED: usize = 5;

/// How many vanished tools are kept in mind. A server that puts a session's id into its tools'
/// names would add some with each check, for ever.
const MAX_VANISHED: usize = 256;

/// How two listings differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    pub added: u64,
    pub removed: u64,
    /// The input schema is another.
    pub changed: u64,
}

/// The known tools after a check.
///
/// A tool is available when the server is up, its listing is complete and holds it, and its schema
/// is valid. What nobody could see stays as it was.
#[must_use]
pub fn tools(before: Option<&Tools>, finding: &Finding, up: Option<bool>) -> Option<Tools> {
    let mut tools = before.cloned().unwrap_or_default();
    if let Some(inventory) = &finding.inventory {
        let other_listing = tools
            .listing
            .as_ref()
            .is_some_and(|listing| listing.protocol_version != inventory.protocol_version);
        if other_listing && inventory.complete {
            // Another revision may list other tools: nothing vanished.
            tools.available.clear();
        }
        for available in tools.available.values_mut() {
            *available = false;
        }
        for (name, tool) in &inventory.tools {
            tools.available.insert(name.clone(), inventory.complete && tool.schema_valid);
        }
        if inventory.complete {
            tools.listing = Some(inventory.clone());
        }
        forget(&mut tools, before, inventory);
    } else if up == Some(false) {
        for available in tools.available.values_mut() {
            *available = false;
        }
    }
    (finding.inventory.is_some() || before.is_some()).then_some(tools)
}

/// Drops what vanished beyond [`MAX_VANISHED`]. Those stay that vanished first: what people were
/// told, and the series of these tools, do not change with every check.
fn forget(tools: &mut Tools, before: Option<&Tools>, inventory: &Inventory) {
    let is_vanished =
        |name: &&String| !inventory.tools.contains_key(*name) && !is_listed(tools, name);
    let mut vanished: Vec<String> = tools.available.keys().filter(is_vanished).cloned().collect();
    if vanished.len() > MAX_VANISHED {
        vanished.sort_by_key(|name| before.is_some_and(|before| is_listed(before, name)));
        for name in &vanished[MAX_VANISHED..] {
            tools.available.remove(name);
        }
    }
}

fn is_listed(tools: &Tools, name: &str) -> bool {
    tools.listing.as_ref().is_some_and(|listing| listing.tools.contains_key(name))
}

/// Which tools are gone from the listing of a server that answers, in words.
#[must_use]
pub fn vanished(tools: Option<&Tools>) -> Option<String> {
    let tools = tools?;
    let gone = tools.available.iter().filter(|(_, available)| !**available);
    let gone: Vec<&str> = gone.map(|(name, _)| name.as_str()).collect();
    let named = gone.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let is_full = gone.iter().filter(|name| !is_listed(tools, name)).count() >= MAX_VANISHED;
    match gone.len() {
        0 => None,
        1..=NAMED => Some(format!("tools not available: {named}")),
        more if is_full => Some(format!(
            "tools not available: {named} and {} more; of those that vanished, no more than \
             {MAX_VANISHED} are kept in mind",
            more - NAMED
        )),
        more => Some(format!("tools not available: {named} and {} more", more - NAMED)),
    }
}

/// How the new listing differs from the last one. Listings of different protocol revisions, and
/// such as were not read to their end, say nothing.
#[must_use]
pub fn changes(before: Option<&Tools>, after: Option<&Inventory>) -> Changes {
    let (Some(Tools { listing: Some(before), .. }), Some(after)) = (before, after) else {
        return Changes::default();
    };
    if !after.complete || before.protocol_version != after.protocol_version {
        return Changes::default();
    }
    let missing_in = |one: &Inventory, other: &Inventory| {
        one.tools.keys().filter(|name| !other.tools.contains_key(*name)).count() as u64
    };
    let is_changed = |(name, tool): &(&String, &crate::finding::ToolListing)| {
        before.tools.get(*name).is_some_and(|old| old.schema_hash != tool.schema_hash)
    };
    Changes {
        added: missing_in(after, before),
        removed: missing_in(before, after),
        changed: after.tools.iter().filter(is_changed).count() as u64,
    }
}

/// Forgets the tools that the last listing does not hold: somebody said that they are gone for
/// good. Says which.
pub fn accept(tools: &mut Tools) -> Vec<String> {
    let Some(listing) = &tools.listing else { return Vec::new() };
    let is_gone = |name: &String| !listing.tools.contains_key(name);
    let gone: Vec<String> = tools.available.keys().filter(|name| is_gone(name)).cloned().collect();
    tools.available.retain(|name, _| !is_gone(name));
    gone
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcpmon_coordination::incident::Failure;

    use super::*;
    use crate::finding::ToolListing;

    fn inventory(version: &str, tools: &[(&str, u64)]) -> Inventory {
        let tool = |schema_hash| ToolListing { schema_hash, schema_valid: true };
        Inventory {
            protocol_version: version.to_owned(),
            tools: tools.iter().map(|(name, hash)| ((*name).to_owned(), tool(*hash))).collect(),
            complete: true,
        }
    }

    fn listed(before: Option<&Tools>, inventory: Inventory) -> Tools {
        let finding =
            Finding { inventory: Some(inventory), ..Finding::ok(Duration::from_millis(1)) };
        tools(before, &finding, Some(true)).unwrap()
    }

    #[test]
    fn a_tool_that_vanished_is_unavailable_until_somebody_accepts_it() {
        let before = listed(None, inventory("2025-11-25", &[("a", 1), ("b", 1)]));
        let now = inventory("2025-11-25", &[("a", 2), ("c", 1)]);
        assert_eq!(
            changes(Some(&before), Some(&now)),
            Changes { added: 1, removed: 1, changed: 1 }
        );
        let mut after = listed(Some(&before), now);
        assert_eq!(vanished(Some(&after)).unwrap(), "tools not available: b");
        assert!(after.available["a"] && after.available["c"] && !after.available["b"]);
        assert_eq!(accept(&mut after), ["b"]);
        assert_eq!(vanished(Some(&after)), None);
    }

    #[test]
    fn names_that_are_new_with_each_check_are_not_kept_for_ever() {
        let mut known = None;
        for check in 0..600 {
            let name = format!("session-{check:03}");
            let mut now = inventory("2025-11-25", &[("a", 1), (&name, 1)]);
            // Whether or not such a listing is read to its end.
            now.complete = check % 3 > 0;
            known = Some(listed(known.as_ref(), now));
        }
        let mut known = known.unwrap();
        assert_eq!(known.available.len(), MAX_VANISHED + 2);
        assert!(known.available["a"] && known.available["session-599"]);
        assert!(!known.available["session-000"], "what vanished first is remembered");
        assert_eq!(
            vanished(Some(&known)).unwrap(),
            "tools not available: session-000, session-001, session-002, session-003, session-004 \
             and 251 more; of those that vanished, no more than 256 are kept in mind"
        );
        assert_eq!(accept(&mut known).len(), MAX_VANISHED);
        assert_eq!(vanished(Some(&known)), None);
    }

    #[test]
    fn another_revision_may_list_other_tools() {
        let before = listed(None, inventory("2025-11-25", &[("a", 1), ("b", 1)]));
        let now = inventory("2026-07-28", &[("a", 9)]);
        assert_eq!(changes(Some(&before), Some(&now)), Changes::default());
        assert_eq!(vanished(Some(&listed(Some(&before), now))), None);
    }

    #[test]
    fn a_server_that_is_down_has_no_tools_to_call_and_keeps_them_in_mind() {
        let before = listed(None, inventory("2025-11-25", &[("a", 1)]));
        let down = Finding::fail(Failure::Timeout, "no answer");
        let soft = tools(Some(&before), &down, Some(true)).unwrap();
        assert!(soft.available["a"], "one failure says nothing yet");
        let gone = tools(Some(&before), &down, Some(false)).unwrap();
        assert!(!gone.available["a"]);
        assert_eq!(gone.listing, before.listing);
        assert_eq!(tools(None, &down, Some(false)), None);
    }

    #[test]
    fn a_listing_that_broke_off_says_nothing_of_changes() {
        let before = listed(None, inventory("2025-11-25", &[("a", 1)]));
        let mut half = inventory("2025-11-25", &[]);
        half.complete = false;
        assert_eq!(changes(Some(&before), Some(&half)), Changes::default());
        assert!(!listed(Some(&before), half).available["a"]);
    }
}
