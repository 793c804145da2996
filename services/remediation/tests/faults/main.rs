//! The real programs under faults: one to five replicas of remediation and one or two monitors over a
//! real Redis, and components that are real processes behind a stand-in for Docker's engine. Each
//! recipe is followed by a look at the history: no two actions at once, none without its record, none
//! on a run that nobody saw fail, none too many or too soon, and none where nothing may be done.

#![expect(clippy::unwrap_used, reason = "a broken assumption fails the test")]

mod coordination;
mod engine;
mod evidence;
mod guards;
mod measure;
mod replicas;
mod support;
