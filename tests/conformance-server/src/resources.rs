//! The resources, and one template of them.

use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceTemplate};
use serde_json::{Value, json};

use crate::{samples, typed};

/// The resource that changes as soon as somebody watches it.
pub(crate) const WATCHED: &str = "test://watched-resource";

pub(crate) fn list() -> Vec<Resource> {
    let resource = |uri, name, mime_type| {
        Resource::new(uri, name)
            .with_description(format!("What the suites call {uri}."))
            .with_mime_type(mime_type)
    };
    vec![
        resource("test://static-text", "static-text", "text/plain"),
        resource("test://static-binary", "static-binary", "image/png"),
        resource(WATCHED, "watched-resource", "text/plain"),
    ]
}

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new("test://template/{id}/data", "template")
            .with_description("Data for any id.")
            .with_mime_type("application/json"),
    ]
}

pub(crate) fn read(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = contents(uri).ok_or_else(|| {
        ErrorData::resource_not_found("Resource not found", Some(json!({ "uri": uri })))
    })?;
    typed(json!({ "resultType": "complete", "contents": [contents] }))
}

fn contents(uri: &str) -> Option<Value> {
    let text = |text: &str| json!({ "uri": uri, "mimeType": "text/plain", "text": text });
    Some(match uri {
        "test://static-text" => text("This is the content of the static text resource."),
        WATCHED => text("Watched resource content"),
        "test://static-binary" => {
            json!({ "uri": uri, "mimeType": "image/png", "blob": samples::PIXEL })
        }
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let data = json!({
                "id": id,
                "templateTest": true,
                "data": format!("Data for ID: {id}"),
            });
            json!({ "uri": uri, "mimeType": "application/json", "text": data.to_string() })
        }
    })
}
