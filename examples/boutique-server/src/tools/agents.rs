//! Tools that let agents work: code scans, campaigns, workflows.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Work;
use crate::failure::Failure;
use crate::guardrails;

/// The agents of a workflow, in the order in which they work, with their categories.
const AGENTS: [(&str, &str); 4] = [
    ("trend_scout", "research"),
    ("stylist", "creative"),
    ("copywriter", "creative"),
    ("merchandiser", "commerce"),
];

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Scan {
    /// The code to look at.
    source: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Campaign {
    /// The product or collection to sell.
    product: String,
    /// What may be spent, in euros.
    budget: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Workflow {
    /// What the agents should reach together.
    goal: String,
    /// How many agents take part, at most four.
    agents: usize,
}

pub(super) async fn scan(work: Work<'_>, scan: Scan) -> Result<Value, Failure> {
    work.monitor.agent_usage("code_reviewer", "engineering");
    work.ask_model(&scan.source).await?;
    Ok(json!({ "lines": scan.source.lines().count(), "findings": [] }))
}

pub(super) async fn campaign(work: Work<'_>, campaign: Campaign) -> Result<Value, Failure> {
    let product = guardrails::clean(&campaign.product)?;
    if campaign.budget < 100.0 {
        return Err(Failure::Rule(format!(
            "budget is {} EUR; a campaign needs at least 100 EUR",
            campaign.budget
        )));
    }
    work.monitor.agent_usage("campaign_planner", "marketing");
    work.ask_model(product).await?;
    Ok(json!({
        "product": product,
        "channels": { "newsletter": campaign.budget * 0.2, "social": campaign.budget * 0.8 },
    }))
}

pub(super) async fn workflow(work: Work<'_>, workflow: Workflow) -> Result<Value, Failure> {
    let goal = guardrails::clean(&workflow.goal)?;
    let team = AGENTS.get(..workflow.agents).filter(|team| !team.is_empty()).ok_or_else(|| {
        Failure::Rule(format!("agents is {}; a team has 1 to {}", workflow.agents, AGENTS.len()))
    })?;
    for (agent, category) in team {
        work.monitor.agent_usage(agent, category);
    }
    work.ask_model(goal).await?;
    Ok(json!({ "goal": goal, "team": team.iter().map(|(agent, _)| agent).collect::<Vec<_>>() }))
}
