//! Tools that design: themes and 3D models.

use mcpmon_sdk::label::GenerationStatus;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Work;
use crate::failure::Failure;
use crate::guardrails;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Theme {
    /// The collection's name.
    collection: String,
    /// The mood it should have.
    mood: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct FromText {
    /// What the model should show.
    prompt: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct FromImage {
    /// The image, below the folder of images.
    image: String,
}

pub(super) async fn theme(work: Work<'_>, theme: Theme) -> Result<Value, Failure> {
    let mood = guardrails::clean(&theme.mood)?;
    work.ask_model(mood).await?;
    Ok(json!({
        "collection": theme.collection,
        "colours": ["#1b1b1e", "#b76e79", "#f5f0e8"],
        "type": { "title": "Didone", "text": "Grotesque" },
    }))
}

pub(super) async fn from_text(work: Work<'_>, wish: FromText) -> Result<Value, Failure> {
    guardrails::clean(&wish.prompt)?;
    render(work).await
}

pub(super) async fn from_image(work: Work<'_>, wish: FromImage) -> Result<Value, Failure> {
    guardrails::image_path(&wish.image)?;
    render(work).await
}

/// A generation is pending until the renderer answers, and then a success or a failure.
async fn render(work: Work<'_>) -> Result<Value, Failure> {
    work.monitor.generation_3d(GenerationStatus::Pending);
    let rendered = match work.simulation.upstream(work.fate, 1_000.0..=4_000.0).await {
        Ok(()) if work.simulation.render() => Ok(work.simulation.number(2_000..=90_000)),
        Ok(()) => Err(Failure::Failed("the mesh has holes; describe fewer details")),
        Err(failure) => Err(failure),
    };
    work.monitor.generation_3d(match rendered {
        Ok(_) => GenerationStatus::Success,
        Err(_) => GenerationStatus::Failed,
    });
    rendered.map(|triangles| json!({ "format": "glb", "triangles": triangles }))
}
