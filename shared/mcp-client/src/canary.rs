//! A canary: one real call of one tool, whose answer must hold a text. It is asked for in the
//! configuration, and by default only of a tool that says it changes nothing.

use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientRequest, ServerResult,
};
use serde_json::{Map, Value};

use crate::fault::short;
use crate::{Fault, Listing, Session};

const METHOD: &str = "tools/call";

/// The call.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// The tool's name.
    pub tool: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// What the text of the answer must hold; none when any answer will do that is no error.
    pub expect_contains: Option<String>,
    /// Whether to call a tool that does not say it is read-only.
    pub allow_writes: bool,
}

/// How the call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CanaryResult {
    /// As it should.
    Passed,
    /// Not so; why.
    Failed(String),
    /// It was not made: the tool is not listed.
    NotListed,
    /// It was not made: the tool may change something.
    Refused,
}

impl Session {
    /// Calls the tool, if the listing allows it.
    ///
    /// # Errors
    /// What kept the tool from answering within `time`: that says nothing of the tool. Its own
    /// error is no fault but a [`CanaryResult::Failed`].
    pub async fn canary(
        &mut self,
        canary: &Canary,
        listing: &Listing,
        time: Duration,
    ) -> Result<CanaryResult, Fault> {
        match listing.tools.get(&canary.tool) {
            None => return Ok(CanaryResult::NotListed),
            Some(tool) if !tool.read_only && !canary.allow_writes => {
                return Ok(CanaryResult::Refused);
            }
            Some(_) => {}
        }
        let params = CallToolRequestParams::new(canary.tool.clone())
            .with_arguments(canary.arguments.clone());
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        Ok(match self.ask(METHOD, request, time).await {
            Ok(ServerResult::CallToolResult(result)) => judge(canary, &result),
            Ok(ServerResult::InputRequiredResult(_)) => {
                CanaryResult::Failed("it asks for more input".to_owned())
            }
            Ok(ServerResult::CreateTaskResult(_)) => {
                CanaryResult::Failed("it only accepts a task".to_owned())
            }
            // rmcp finds another type for an answer without content.
            Ok(_) => judge(canary, &CallToolResult::default()),
            Err(fault @ Fault::Rpc { .. }) => CanaryResult::Failed(fault.to_string()),
            Err(fault) => return Err(fault),
        })
    }
}

fn judge(canary: &Canary, result: &CallToolResult) -> CanaryResult {
    let texts: Vec<_> = result
        .content
        .iter()
        .filter_map(|content| content.as_text())
        .map(|text| text.text.as_str())
        .collect();
    let text = texts.join("\n");
    if result.is_error == Some(true) {
        return CanaryResult::Failed(format!("it answers with an error: {}", short(&text)));
    }
    match &canary.expect_contains {
        Some(expected) if !text.contains(expected.as_str()) => CanaryResult::Failed(format!(
            "its answer does not hold `{}`: {}",
            short(expected),
            short(&text)
        )),
        _ => CanaryResult::Passed,
    }
}
