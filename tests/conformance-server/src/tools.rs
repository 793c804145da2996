//! The tools: their names and schemas here, what they do by theme below.

mod asking;
mod plain;
mod tasks;
mod telling;

use rmcp::ErrorData;
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, Tool,
};
use rmcp::service::RequestContext;
use serde_json::{Value, json};

use crate::house::House;
use crate::{samples, typed};

/// A call of one of them.
pub(crate) struct Call<'a> {
    house: &'a House,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
}

impl Call<'_> {
    /// What the client said it can do, with this request or at the beginning of the session.
    fn capabilities(&self) -> ClientCapabilities {
        self.context.client_capabilities().unwrap_or_default()
    }

    fn argument(&self, name: &str) -> &Value {
        self.request.arguments.as_ref().and_then(|all| all.get(name)).unwrap_or(&Value::Null)
    }
}

/// All tools, always in this order.
pub(crate) fn list() -> Vec<Tool> {
    let families = [plain::NAMES, telling::NAMES, asking::NAMES, tasks::NAMES];
    families
        .into_iter()
        .flatten()
        .map(|name| {
            let schema = match schema(name) {
                Value::Object(schema) => schema,
                _ => unreachable!("a schema is an object"),
            };
            Tool::new(*name, format!("What the suites call {name}."), schema)
        })
        .collect()
}

fn schema(name: &str) -> Value {
    let text = json!({ "type": "string" });
    let one = |argument: &str, schema: &Value| json!({ "type": "object", "properties": { argument: schema }, "required": [argument] });
    match name {
        "json_schema_2020_12_tool" => plain::schema_2020_12(),
        "test_sampling" => one("prompt", &text),
        "test_elicitation" => one("message", &text),
        "test_custom_headers" => {
            one("region", &json!({ "type": "string", "x-mcp-header": "Region" }))
        }
        "greet" => one("name", &text),
        "slow_compute" => one("seconds", &json!({ "type": "number" })),
        _ => json!({ "type": "object", "properties": {} }),
    }
}

pub(crate) async fn call(
    house: &House,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let name = request.name.clone();
    let call = Call { house, request, context };
    let name = &*name;
    if plain::NAMES.contains(&name) {
        plain::call(name, &call).map(Into::into)
    } else if telling::NAMES.contains(&name) {
        telling::call(name, &call).await.map(Into::into)
    } else if asking::NAMES.contains(&name) {
        asking::call(name, &call)
    } else if tasks::NAMES.contains(&name) {
        tasks::call(name, &call).await
    } else {
        Err(ErrorData::invalid_params(format!("no tool {name}"), None))
    }
}

fn said(text: &str) -> Result<CallToolResult, ErrorData> {
    content(&[samples::text(text)])
}

fn content(content: &[Value]) -> Result<CallToolResult, ErrorData> {
    typed(json!({ "resultType": "complete", "content": content }))
}
