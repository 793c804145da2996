//! The atelier's tools. A tool is one line in [`list`], one in [`Workroom::work_on`], and what it
//! does below.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rmcp::model::{JsonObject, Tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Of so many patterns, the last one cannot be cut from its bolt.
const BOLT: u64 = 25;

/// Why a call does not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("unknown tool")]
    UnknownTool,
    #[error("{0}")]
    Arguments(#[from] serde_json::Error),
    #[error("{0} is {1} cm; the tape measures 50 to 160 cm")]
    OffTheTape(&'static str, f64),
    #[error("the marker does not fit on what is left of the bolt; wait for the next one")]
    BoltEnds,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Search {
    /// The garment, or a part of its name.
    garment: String,
    /// The decade it was made in, such as 1950.
    decade: Option<u16>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Measures {
    /// Around the chest, in centimetres.
    chest: f64,
    /// Around the waist, in centimetres.
    waist: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Grading {
    /// The pattern's number in the archive.
    pattern: String,
    /// The European size to grade it to.
    size: u8,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Embroidery {
    /// What is embroidered.
    motif: String,
    /// How many stitches it takes.
    stitches: u32,
}

/// What the server answers to `tools/list`.
pub(crate) fn list() -> Vec<Tool> {
    vec![
        tool::<Search>("search_archive", "Searches the archive of garments."),
        tool::<Measures>("take_measurements", "Finds the size that fits these measurements."),
        tool::<Grading>("grade_pattern", "Grades a pattern to a size and lays its marker."),
        tool::<Embroidery>("run_embroidery", "Embroiders a motif, which takes seconds."),
    ]
}

fn tool<T: JsonSchema + 'static>(name: &'static str, description: &str) -> Tool {
    Tool::new(name, format!("{description} Simulated: an example."), JsonObject::new())
        .with_input_schema::<T>()
}

/// Where the pretended work is done.
#[derive(Debug)]
pub(crate) struct Workroom {
    pace: f64,
    patterns: AtomicU64,
}

impl Workroom {
    /// `pace` stretches every duration: 0.1 is ten times as fast.
    pub(crate) fn new(pace: f64) -> Self {
        Self { pace, patterns: AtomicU64::new(0) }
    }

    /// Does what `name` stands for.
    pub(crate) async fn work_on(
        &self,
        name: &str,
        arguments: Option<JsonObject>,
    ) -> Result<Value, Trouble> {
        let arguments = Value::Object(arguments.unwrap_or_default());
        match name {
            "search_archive" => self.search(parse(arguments)?).await,
            "take_measurements" => self.measure(parse(arguments)?).await,
            "grade_pattern" => self.grade(parse(arguments)?).await,
            "run_embroidery" => self.embroider(parse(arguments)?).await,
            _ => Err(Trouble::UnknownTool),
        }
    }

    async fn search(&self, search: Search) -> Result<Value, Trouble> {
        self.take(20).await;
        let decade = search.decade.unwrap_or(1950);
        let found: Vec<_> = (1..=search.garment.len() % 7 + 1)
            .map(|number| format!("{} no. {number}, {decade}s", search.garment))
            .collect();
        Ok(json!({ "garments": found }))
    }

    async fn measure(&self, measures: Measures) -> Result<Value, Trouble> {
        for (what, given) in [("chest", measures.chest), ("waist", measures.waist)] {
            if !(50.0..=160.0).contains(&given) {
                return Err(Trouble::OffTheTape(what, given));
            }
        }
        self.take(10).await;
        // Half of the chest, as European sizes go, and two more where the waist is full.
        let full = if measures.chest - measures.waist < 8.0 { 2.0 } else { 0.0 };
        Ok(json!({ "size": (measures.chest / 2.0).round() + full }))
    }

    async fn grade(&self, grading: Grading) -> Result<Value, Trouble> {
        self.take(60).await;
        let pattern = self.patterns.fetch_add(1, Ordering::Relaxed) + 1;
        if pattern.is_multiple_of(BOLT) {
            return Err(Trouble::BoltEnds);
        }
        let cloth = 1.2 + f64::from(grading.size) / 50.0;
        Ok(json!({ "pattern": grading.pattern, "size": grading.size, "cloth_metres": cloth }))
    }

    async fn embroider(&self, wish: Embroidery) -> Result<Value, Trouble> {
        let stitches = wish.stitches.min(4_000);
        self.take(u64::from(stitches)).await;
        Ok(json!({ "motif": wish.motif, "stitches": stitches }))
    }

    /// Pretends to work for `millis`.
    async fn take(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis).mul_f64(self.pace)).await;
    }
}

fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(arguments)
}
