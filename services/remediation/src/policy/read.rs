//! Reads the policy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mcpmon_bootstrap::Settings;
use mcpmon_bootstrap::settings::{Keys, within};
use mcpmon_coordination::budget::Limits;

use super::{GROUPS, Guards, Mode, Policy, TARGETS, Target, Timing, rules};
use crate::action::{KINDS, Kind, allowed_commands, kind};
use crate::protected::Protected;
use crate::words;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(10);

impl Policy {
    /// Reads every key. What is wrong is noted in `settings`. `protected_addresses` are those that
    /// no HTTP action may call.
    pub fn read(settings: &mut Settings, protected_addresses: &[String]) -> Self {
        let mode: Option<Mode> = settings.optional(
            "remediation.mode",
            "How far rules go that do not say it themselves: `dry_run`, `approve` or `act`. Unset, the \
             shipped rules act once their target is listed, and all others are tried out only.",
        );
        let words = settings.value(
            "remediation.protected",
            Protected::DEFAULT.map(str::to_owned).to_vec(),
            "Words that mark a component, unit, container or host as one that repairs depend on: \
             nothing whose name has one of them is acted on.",
        );
        let mut protected = Protected::new(words);
        for address in protected_addresses {
            protected.add(address.clone());
        }
        let targets = targets(settings, &protected);
        let rules = rules::read(settings, mode, &targets, &protected);
        Self { mode, rules, targets, guards: guards(settings), timing: timing(settings), protected }
    }

    /// Reads every key of every kind, for the reference; the user's own names stand in `<…>`.
    pub fn document(settings: &mut Settings) {
        Self::read(settings, &[]);
        kind_of(&mut Keys::new(settings, format!("{TARGETS}.<name>")));
        for kind in KINDS {
            (kind.read)(&mut Keys::new(settings, format!("{TARGETS}.<{}>", kind.name)));
        }
        rules::document(settings);
        group(settings, "<name>", 1);
    }
}

fn targets(settings: &mut Settings, protected: &Protected) -> BTreeMap<String, Target> {
    let mut targets = BTreeMap::new();
    // The kind that it rules over may have no target.
    allowed_commands(settings);
    for name in settings.tables(TARGETS) {
        let table = format!("{TARGETS}.{name}");
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !name.chars().all(legal) || name.len() > 64 {
            let expected = "expected a name of up to 64 letters, digits, `_` and `-`";
            settings.reject(&table, format!("`{name}` is no name of a target; {expected}"));
            settings.foreign(&table);
            continue;
        }
        let mut keys = Keys::new(settings, table.clone());
        let Some(kind) = kind_of(&mut keys) else {
            settings.foreign(&table);
            continue;
        };
        let Some(action) = (kind.read)(&mut keys) else { continue };
        let names = action.names();
        let found = names.iter().find_map(|name| Some((name, protected.in_name(name)?)));
        if let Some((name, word)) = found {
            settings.reject(&table, rules::refusal(name, word));
        }
        targets.insert(name, Target { kind: kind.name, action: Arc::from(action) });
    }
    targets
}

fn kind_of(keys: &mut Keys<'_>) -> Option<Kind> {
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let doc = format!("What it is: {}.", names.join(", "));
    keys.required("kind", &doc, |name: String| kind(&name))
}

fn guards(s: &mut Settings) -> Guards {
    let window = s.seconds(
        "remediation.window_seconds",
        HOUR,
        Duration::from_secs(1)..=HOUR * 24 * 7,
        "How long an action counts in the budgets.",
    );
    let budget = Limits {
        attempts: s.checked(
            "remediation.attempts",
            3_u32,
            "How many actions a component may get within the window; then the circuit opens, and a \
             person closes it.",
            within(1..=100),
        ),
        window,
        first_pause: s.seconds(
            "remediation.cool_down_seconds",
            MINUTE,
            SHORT..=HOUR * 24,
            "The pause after an action on a component. It doubles with each further one in the window.",
        ),
        longest_pause: s.seconds(
            "remediation.longest_pause_seconds",
            MINUTE * 15,
            SHORT..=HOUR * 24,
            "No pause is longer, but for up to a quarter of chance.",
        ),
        jitter: 0.25,
    };
    let system_budget = Limits {
        attempts: s.checked(
            "remediation.system_attempts",
            10_u32,
            "How many actions all components together may get within the window.",
            within(1..=10_000),
        ),
        window,
        first_pause: Duration::ZERO,
        longest_pause: Duration::ZERO,
        jitter: 0.0,
    };
    let min_healthy_default = s.value(
        "remediation.min_healthy",
        1_usize,
        "How many others of its group must be healthy before a component is acted on; one without a \
         group needs none.",
    );
    let groups = s.tables(GROUPS);
    let min_healthy = groups
        .into_iter()
        .map(|name| {
            let least = group(s, &name, min_healthy_default);
            (name, least)
        })
        .collect();
    Guards {
        budget,
        system_budget,
        storm_components: s.checked(
            "remediation.storm_components",
            3_usize,
            "So many components that fail at once are a storm, in which nothing is repaired,",
            within(2..=10_000),
        ),
        storm_share: s.checked(
            "remediation.storm_share",
            0.5_f64,
            "if they are at least this share of all.",
            within(0.0..=1.0),
        ),
        storm_cool_down: s.seconds(
            "remediation.storm_cool_down_seconds",
            MINUTE,
            Duration::ZERO..=HOUR,
            "How long nothing is repaired after a storm.",
        ),
        min_healthy,
        min_healthy_default,
        clock_skew: s.seconds(
            "remediation.clock_skew_seconds",
            Duration::from_secs(2),
            Duration::ZERO..=MINUTE,
            "By how much the clocks of the machines may differ.",
        ),
    }
}

fn group(settings: &mut Settings, name: &str, default: usize) -> usize {
    settings.value(
        &format!("{GROUPS}.{name}.min_healthy"),
        default,
        "How many others of this group must be healthy.",
    )
}

fn timing(s: &mut Settings) -> Timing {
    let timing = Timing {
        look: s.seconds(
            "remediation.look_seconds",
            Duration::from_secs(5),
            SHORT..=MINUTE,
            "How long one look at a target may take.",
        ),
        act: s.seconds(
            "remediation.act_seconds",
            MINUTE,
            SHORT..=HOUR,
            "How long an action may take. After that it is not known what became of it.",
        ),
        grace: s.seconds(
            "remediation.grace_seconds",
            Duration::from_secs(2),
            Duration::ZERO..=HOUR,
            "How long a target is left alone after an action, before it is verified.",
        ),
        verify: s.seconds(
            "remediation.verify_seconds",
            MINUTE * 3,
            SHORT..=HOUR,
            "How long it may take after an action until the component is well.",
        ),
        verify_every: s.seconds(
            "remediation.verify_every_seconds",
            Duration::from_secs(2),
            SHORT..=MINUTE,
            "How often the monitor is asked to check it meanwhile.",
        ),
        verify_checks: s.checked(
            "remediation.verify_checks",
            2_u32,
            "So many good checks in a row mean that it is well.",
            within(1..=100),
        ),
    };
    if timing.verify < timing.verify_every * timing.verify_checks {
        let problem = format!(
            "leaves no time for {} checks, one every {}",
            timing.verify_checks,
            words::time(timing.verify_every)
        );
        s.reject("remediation.verify_seconds", problem);
    }
    timing
}
