//! Tools around the articles: search, prices, images.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Work;
use crate::failure::Failure;
use crate::guardrails;

/// The house sells nothing below this share of the list price.
const GREATEST_DISCOUNT: f64 = 70.0;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Search {
    /// What the customer is looking for.
    query: String,
    /// How many articles to return.
    #[serde(default = "ten")]
    limit: u64,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Price {
    /// The article's number.
    sku: String,
    /// The price on the label, in euros.
    list_price: f64,
    /// The discount asked for, in per cent.
    discount: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Upload {
    /// The article's number.
    sku: String,
    /// Where the image belongs, below the folder of images.
    path: String,
}

fn ten() -> u64 {
    10
}

pub(super) async fn search(work: Work<'_>, search: Search) -> Result<Value, Failure> {
    let query = guardrails::clean(&search.query)?;
    work.simulation.upstream(work.fate, 5.0..=60.0).await?;
    let found = work.simulation.number(0..=search.limit.min(50));
    let articles: Vec<_> = (1..=found)
        .map(|n| json!({ "sku": format!("DS-{n:04}"), "name": format!("{query} no. {n}") }))
        .collect();
    Ok(json!({ "articles": articles }))
}

pub(super) async fn price(work: Work<'_>, price: Price) -> Result<Value, Failure> {
    if !(0.0..=GREATEST_DISCOUNT).contains(&price.discount) {
        return Err(Failure::Rule(format!(
            "discount is {} %; the house gives 0 to {GREATEST_DISCOUNT} %",
            price.discount
        )));
    }
    work.simulation.upstream(work.fate, 12.0..=40.0).await?;
    let now = price.list_price * (100.0 - price.discount) / 100.0;
    Ok(json!({ "sku": price.sku, "price": (now * 100.0).round() / 100.0, "currency": "EUR" }))
}

pub(super) async fn upload(work: Work<'_>, upload: Upload) -> Result<Value, Failure> {
    let path = guardrails::image_path(&upload.path)?;
    work.simulation.upstream(work.fate, 20.0..=150.0).await?;
    Ok(json!({ "sku": upload.sku, "stored": path }))
}
