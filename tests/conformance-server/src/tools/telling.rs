//! Tools that say something to the client before they answer: log messages, progress, changes of
//! the lists, requests of their own (until 2025-11-25), and the end of the stream.

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ProgressNotificationParam, ServerNotification, ServerRequest};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Call, said};
use crate::house::Change;
use crate::sessions::EventStream;
use crate::typed;

pub(super) const NAMES: &[&str] = &[
    "test_tool_with_logging",
    "test_logging_tool",
    "test_tool_with_progress",
    "test_reconnection",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
];

/// Long enough for what was said before to arrive by itself.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn call(name: &str, call: &Call<'_>) -> Result<CallToolResult, ErrorData> {
    match name {
        "test_tool_with_logging" | "test_logging_tool" => {
            for step in ["execution started", "processing data", "execution completed"] {
                call.log(&format!("Tool {step}")).await?;
                sleep(PAUSE).await;
            }
            said("Logged.")
        }
        "test_tool_with_progress" => {
            for progress in [0.0, 50.0, 100.0] {
                call.progress(progress).await;
                sleep(PAUSE).await;
            }
            said("Done.")
        }
        "test_reconnection" => {
            if let Some(stream) = call.context.extensions.get::<EventStream>() {
                stream.close().await;
            }
            sleep(PAUSE * 2).await;
            said("Answered after the reconnection.")
        }
        "test_sampling" => {
            let prompt = json!({ "type": "text", "text": call.argument("prompt") });
            let answer = call
                .ask(json!({
                    "method": "sampling/createMessage",
                    "params": {
                        "messages": [{ "role": "user", "content": prompt }],
                        "maxTokens": 100,
                    },
                }))
                .await?;
            said(&format!("LLM response: {}", answer["content"]["text"].as_str().unwrap_or("?")))
        }
        "test_elicitation" => {
            let text = json!({ "type": "string", "description": "User's response" });
            let properties = json!({ "username": text, "email": text });
            let message = call.argument("message").as_str().unwrap_or("Who are you?");
            call.elicit(message, &properties, &["username", "email"]).await
        }
        "test_elicitation_sep1034_defaults" => {
            call.elicit("Please review the values", &defaults(), &[]).await
        }
        "test_elicitation_sep1330_enums" => call.elicit("Please choose", &enums(), &[]).await,
        "test_trigger_tool_change" => {
            call.house.change(Change::Tools);
            let _ = call.context.peer.notify_tool_list_changed().await;
            said("The tools are said to have changed.")
        }
        _ => {
            call.house.change(Change::Prompts);
            let _ = call.context.peer.notify_prompt_list_changed().await;
            said("The prompts are said to have changed.")
        }
    }
}

impl Call<'_> {
    /// Since 2026-07-28 a request says from which level on it wants to hear, or hears nothing.
    async fn log(&self, text: &str) -> Result<(), ErrorData> {
        let modern = self.context.meta.protocol_version().is_some();
        if modern && self.context.meta.log_level().is_none() {
            return Ok(());
        }
        let message: ServerNotification = typed(json!({
            "method": "notifications/message",
            "params": { "level": "info", "data": text },
        }))?;
        // A client that is gone misses it.
        let _ = self.context.peer.send_notification(message).await;
        Ok(())
    }

    async fn progress(&self, progress: f64) {
        if let Some(token) = self.context.meta.get_progress_token() {
            let done = ProgressNotificationParam::new(token, progress).with_total(100.0);
            let _ = self.context.peer.notify_progress(done).await;
        }
    }

    /// A request to the client, and its answer.
    async fn ask(&self, request: Value) -> Result<Value, ErrorData> {
        let request: ServerRequest = typed(request)?;
        match self.context.peer.send_request(request).await {
            Ok(answer) => Ok(json!(answer)),
            Err(error) => Err(ErrorData::internal_error(error.to_string(), None)),
        }
    }

    async fn elicit(
        &self,
        message: &str,
        properties: &Value,
        required: &[&str],
    ) -> Result<CallToolResult, ErrorData> {
        let mut schema = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        let params = json!({ "mode": "form", "message": message, "requestedSchema": schema });
        let answer = self.ask(json!({ "method": "elicitation/create", "params": params })).await?;
        said(&format!("User response: action={}, content={}", answer["action"], answer["content"]))
    }
}

/// A field of each primitive type with its default (SEP-1034).
fn defaults() -> Value {
    let statuses = ["active", "inactive", "pending"];
    json!({
        "name": { "type": "string", "default": "John Doe" },
        "age": { "type": "integer", "default": 30 },
        "score": { "type": "number", "default": 95.5 },
        "status": { "type": "string", "enum": statuses, "default": "active" },
        "verified": { "type": "boolean", "default": true },
    })
}

/// A field of each form that a choice can have (SEP-1330).
fn enums() -> Value {
    let plain = ["option1", "option2", "option3"];
    let titled: Value = [("value1", "First"), ("value2", "Second"), ("value3", "Third")]
        .into_iter()
        .map(|(value, title)| json!({ "const": value, "title": title }))
        .collect();
    json!({
        "untitledSingle": { "type": "string", "enum": plain },
        "titledSingle": { "type": "string", "oneOf": titled },
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": { "type": "array", "items": { "type": "string", "enum": plain } },
        "titledMulti": { "type": "array", "items": { "anyOf": titled } },
    })
}
