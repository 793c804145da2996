//! Tools that ask by an interim result, since 2026-07-28.

use rmcp::ErrorData;
use rmcp::model::{CallToolResponse, ClientCapabilities};
use serde_json::json;

use super::{Call, said};
use crate::rounds::{self, Reply, Round, elicit, roots, sample};
use crate::typed;

pub(super) const NAMES: &[&str] = &[
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
    "test_streaming_elicitation",
    "test_missing_capability",
];

pub(super) fn call(name: &str, call: &Call<'_>) -> Result<CallToolResponse, ErrorData> {
    if name == "test_missing_capability" && call.capabilities().sampling.is_none() {
        let required = typed(json!({ "sampling": {} }))?;
        return Err(ErrorData::missing_required_client_capability(required));
    }
    let (rounds, keeps_state) = rounds_of(name, &call.capabilities());
    let state = call.request.request_state.as_deref();
    let answers = call.request.input_responses.as_ref();
    match rounds::next(call.house, &rounds, keeps_state, state, answers)? {
        Reply::Ask(question) => Ok(question.into()),
        Reply::Done(answers) => said(&format!("state-ok: {answers}")).map(Into::into),
    }
}

/// What that tool asks, and whether its questions come with a state.
fn rounds_of(name: &str, client: &ClientCapabilities) -> (Vec<Round>, bool) {
    let name_question = || ("user_name", elicit("What is your name?", "name", "string"));
    let confirm = || vec![vec![("confirm", elicit("Please confirm", "ok", "boolean"))]];
    match name {
        "test_input_required_result_sampling" | "test_missing_capability" => {
            (vec![vec![("capital_question", sample("What is the capital of France?"))]], false)
        }
        "test_input_required_result_list_roots" => (vec![vec![("client_roots", roots())]], false),
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => (confirm(), true),
        "test_input_required_result_multiple_inputs" => {
            let greeting = ("greeting", sample("Generate a greeting"));
            (vec![vec![name_question(), greeting, ("client_roots", roots())]], true)
        }
        "test_input_required_result_multi_round" => {
            let first = elicit("Step 1: What is your name?", "name", "string");
            let second = elicit("Step 2: What is your favorite color?", "color", "string");
            (vec![vec![("step1", first)], vec![("step2", second)]], true)
        }
        "test_input_required_result_capabilities" => {
            // Only what the client said it can answer.
            let mut questions = Round::new();
            if client.elicitation.is_some() {
                questions.push(name_question());
            }
            if client.sampling.is_some() {
                questions.push(("greeting", sample("Generate a greeting")));
            }
            (vec![questions], false)
        }
        _ => (vec![vec![name_question()]], false),
    }
}
