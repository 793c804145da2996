//! An action from its keys, as a configuration would give them.

use std::time::Duration;

use mcp_remediation::action::{Action, Condition, Order, Run, Trouble, kind};
use mcpmon_bootstrap::settings::{Keys, environment_name};
use mcpmon_bootstrap::{Settings, Sources};
use tokio::time::{Instant, sleep};

const TABLE: &str = "remediation.targets.it";

/// Long enough for every answer that comes at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A key with a dot is one of the whole configuration.
pub(crate) fn action(name: &str, keys: &[(&str, &str)]) -> Box<dyn Action> {
    let variable = |key: &str| match key.contains('.') {
        true => environment_name(key),
        false => environment_name(&format!("{TABLE}.{key}")),
    };
    let environment = keys.iter().map(|(key, value)| (variable(key), (*value).to_owned()));
    let sources = Sources { environment: environment.collect(), ..Sources::default() };
    let mut settings = Settings::load(sources).unwrap();
    let mut keys = Keys::new(&mut settings, TABLE.to_owned());
    let action = (kind(name).unwrap().read)(&mut keys);
    settings.finish().unwrap();
    action.unwrap()
}

pub(crate) fn order() -> Order {
    Order {
        component: "boutique".to_owned(),
        incident: "boutique@1795516800000".to_owned(),
        attempt: "boutique@1795516800000/1".to_owned(),
        fencing: 7,
    }
}

pub(crate) async fn act(action: &dyn Action) -> Result<(), Trouble> {
    action.act(&order(), PATIENCE).await
}

pub(crate) async fn condition(action: &dyn Action) -> Condition {
    action.look(PATIENCE).await.unwrap().condition
}

pub(crate) async fn run(action: &dyn Action) -> Run {
    action.look(PATIENCE).await.unwrap().run.unwrap()
}

/// Looks until what it sees is `wanted`.
pub(crate) async fn until(action: &dyn Action, wanted: impl Fn(&Condition) -> bool) -> Condition {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = condition(action).await;
        if wanted(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "{}: still {seen:?}", action.describe());
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn is_ours(condition: &Condition) -> bool {
    *condition == Condition::Ours
}

pub(crate) fn is_supervised(condition: &Condition) -> bool {
    matches!(condition, Condition::Supervised(_))
}

pub(crate) fn stopped(why: &str) -> Condition {
    Condition::Stopped(why.to_owned())
}
