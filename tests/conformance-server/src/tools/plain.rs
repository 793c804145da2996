//! Tools that answer, each with another kind of content.

use rmcp::ErrorData;
use rmcp::model::CallToolResult;
use serde_json::{Value, json};

use super::{Call, content, said};
use crate::{samples, typed};

pub(super) const NAMES: &[&str] = &[
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "json_schema_2020_12_tool",
    "test_custom_headers",
];

pub(super) fn call(name: &str, call: &Call<'_>) -> Result<CallToolResult, ErrorData> {
    match name {
        "test_simple_text" => said("This is a simple text response for testing."),
        "test_image_content" => content(&[samples::image()]),
        "test_audio_content" => content(&[samples::sound()]),
        "test_embedded_resource" => content(&[samples::embedded(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content.",
        )]),
        "test_multiple_content_types" => content(&[
            samples::text("Multiple content types test:"),
            samples::image(),
            samples::embedded(
                "test://mixed-content-resource",
                "application/json",
                r#"{"test":"data","value":123}"#,
            ),
        ]),
        "test_error_handling" => typed(json!({
            "resultType": "complete",
            "isError": true,
            "content": [samples::text("This tool intentionally returns an error for testing")],
        })),
        _ => said(&format!("Called with {}", json!(call.request.arguments))),
    }
}

/// A schema that uses what JSON Schema has had since 2020-12.
pub(super) fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
            },
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}
