//! The boutique's tools: their names, their schemas, and the way from a call to the work.
//!
//! A tool is one line in [`list`], one in [`run`], and one function in a submodule.

mod agents;
mod catalogue;
mod studio;

use mcpmon_sdk::Monitor;
use rmcp::model::{JsonObject, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::failure::Failure;
use crate::simulation::{Fate, Simulation};

/// One call's view of the boutique.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) monitor: &'a Monitor,
    pub(crate) simulation: &'a Simulation,
    pub(crate) fate: Fate,
}

/// How much a tool needs, and so how long it may take and how many run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Light,
    Model,
    Render,
}

/// The places where calls are worked on; a call without a place waits in the queue.
#[derive(Debug)]
pub(crate) struct Workshop {
    light: Semaphore,
    model: Semaphore,
    render: Semaphore,
}

/// Takes no arguments.
#[derive(Debug, Deserialize, JsonSchema)]
struct Nothing {}

/// What the server answers to `tools/list`.
pub(crate) fn list() -> Vec<Tool> {
    vec![
        tool::<catalogue::Search>("search_catalogue", "Searches the boutique's catalogue."),
        tool::<catalogue::Price>("price_dynamically", "Prices an article from demand and stock."),
        tool::<catalogue::Upload>("upload_product_image", "Files an image of an article."),
        tool::<studio::Theme>("generate_theme", "Designs colours and type for a collection."),
        tool::<studio::FromText>("generate_3d_from_text", "Makes a 3D model from a description."),
        tool::<studio::FromImage>("generate_3d_from_image", "Makes a 3D model from an image."),
        tool::<agents::Scan>("scan_code", "Looks for defects in the shop's code."),
        tool::<agents::Campaign>("plan_marketing_campaign", "Plans a campaign within a budget."),
        tool::<agents::Workflow>("run_multi_agent_workflow", "Lets several agents work on a goal."),
        tool::<Nothing>("check_health", "Says whether the boutique is well."),
    ]
}

/// Does what `name` stands for.
pub(crate) async fn run(
    work: Work<'_>,
    name: &str,
    arguments: Option<JsonObject>,
) -> Result<Value, Failure> {
    let arguments = Value::Object(arguments.unwrap_or_default());
    match name {
        "search_catalogue" => catalogue::search(work, parse(arguments)?).await,
        "price_dynamically" => catalogue::price(work, parse(arguments)?).await,
        "upload_product_image" => catalogue::upload(work, parse(arguments)?).await,
        "generate_theme" => studio::theme(work, parse(arguments)?).await,
        "generate_3d_from_text" => studio::from_text(work, parse(arguments)?).await,
        "generate_3d_from_image" => studio::from_image(work, parse(arguments)?).await,
        "scan_code" => agents::scan(work, parse(arguments)?).await,
        "plan_marketing_campaign" => agents::campaign(work, parse(arguments)?).await,
        "run_multi_agent_workflow" => agents::workflow(work, parse(arguments)?).await,
        "check_health" => parse(arguments).map(|Nothing {}| json!({ "healthy": true })),
        _ => Err(Failure::UnknownTool),
    }
}

/// How long `name` may take, queue included, in simulated milliseconds.
pub(crate) fn deadline(name: &str) -> f64 {
    match Weight::of(name) {
        Weight::Light => 500.0,
        Weight::Model => 4_000.0,
        Weight::Render => 10_000.0,
    }
}

impl Workshop {
    pub(crate) fn new() -> Self {
        Self { light: Semaphore::new(64), model: Semaphore::new(4), render: Semaphore::new(2) }
    }

    /// Waits for a place where `name` can be worked on.
    pub(crate) async fn place(&self, name: &str) -> SemaphorePermit<'_> {
        let places = match Weight::of(name) {
            Weight::Light => &self.light,
            Weight::Model => &self.model,
            Weight::Render => &self.render,
        };
        places.acquire().await.expect("the workshop never closes its places")
    }
}

impl Weight {
    fn of(name: &str) -> Self {
        match name {
            "generate_3d_from_text" | "generate_3d_from_image" => Self::Render,
            "generate_theme"
            | "scan_code"
            | "plan_marketing_campaign"
            | "run_multi_agent_workflow" => Self::Model,
            _ => Self::Light,
        }
    }
}

impl Work<'_> {
    /// Pretends to ask a language model, and records the tokens that it took and gave.
    pub(crate) async fn ask_model(&self, prompt: &str) -> Result<(), Failure> {
        self.simulation.upstream(self.fate, 300.0..=2_000.0).await?;
        let model = self.simulation.model();
        let input = self.simulation.number(400..=4_000) + prompt.len() as u64 / 4;
        let output = self.simulation.number(100..=1_200);
        // The house's style guide goes along with every prompt, and is mostly cached.
        let (read, written) = (self.simulation.number(0..=3_000), self.simulation.number(0..=200));
        self.monitor.llm_tokens_cached(model.provider, model.name, input, output, read, written);
        Ok(())
    }
}

fn tool<T: JsonSchema + 'static>(name: &'static str, description: &str) -> Tool {
    Tool::new(name, format!("{description} Simulated: an example."), JsonObject::new())
        .with_input_schema::<T>()
}

fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, Failure> {
    serde_json::from_value(arguments).map_err(|error| Failure::Schema(error.to_string()))
}
