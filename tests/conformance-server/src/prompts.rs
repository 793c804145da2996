//! The prompts.

use rmcp::ErrorData;
use rmcp::model::{GetPromptRequestParams, GetPromptResponse, GetPromptResult, Prompt};
use serde_json::{Value, json};

use crate::house::House;
use crate::rounds::{self, Reply, elicit};
use crate::{samples, typed};

pub(crate) fn list() -> Result<Vec<Prompt>, ErrorData> {
    let arguments = [
        ("test_simple_prompt", &[][..]),
        ("test_prompt_with_arguments", &["arg1", "arg2"]),
        ("test_prompt_with_embedded_resource", &["resourceUri"]),
        ("test_prompt_with_image", &[]),
        ("test_input_required_result_prompt", &[]),
    ];
    typed(arguments.iter().map(|(name, arguments)| describe(name, arguments)).collect())
}

fn describe(name: &str, arguments: &[&str]) -> Value {
    let arguments: Value = arguments
        .iter()
        .map(|name| json!({ "name": name, "description": "Any text.", "required": true }))
        .collect();
    json!({
        "name": name,
        "description": format!("What the suites call {name}."),
        "arguments": arguments,
    })
}

pub(crate) fn get(
    house: &House,
    request: &GetPromptRequestParams,
) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        request.arguments.as_ref().and_then(|all| all.get(name)?.as_str()).unwrap_or_default()
    };
    let said = match request.name.as_str() {
        "test_simple_prompt" => vec![samples::text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => vec![samples::text(&format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            argument("arg1"),
            argument("arg2")
        ))],
        "test_prompt_with_embedded_resource" => vec![
            samples::embedded(
                argument("resourceUri"),
                "text/plain",
                "Embedded resource content for testing.",
            ),
            samples::text("Please process the embedded resource above."),
        ],
        "test_prompt_with_image" => {
            vec![samples::image(), samples::text("Please analyze the image above.")]
        }
        "test_input_required_result_prompt" => {
            let question = elicit("What context should the prompt use?", "context", "string");
            let rounds = [vec![("user_context", question)]];
            let state = request.request_state.as_deref();
            match rounds::next(house, &rounds, false, state, request.input_responses.as_ref())? {
                Reply::Ask(question) => return Ok(question.into()),
                Reply::Done(answers) => vec![samples::text(&format!("In context: {answers}"))],
            }
        }
        other => return Err(ErrorData::invalid_params(format!("no prompt {other}"), None)),
    };
    let messages: Vec<_> =
        said.into_iter().map(|content| json!({ "role": "user", "content": content })).collect();
    typed::<GetPromptResult>(json!({ "resultType": "complete", "messages": messages }))
        .map(Into::into)
}
