//! Whatever becomes worse, the overall status never becomes better.

use proptest::prelude::*;

use super::fixture::*;
use super::*;
use crate::snapshot::OwnTrouble;

/// All that the verdict is made from, in numbers.
#[derive(Debug, Clone)]
struct World {
    /// State, known tools and missing tools of each server, and its figures.
    servers: Vec<Server>,
    critical: bool,
    traffic_readable: bool,
    alerts_readable: bool,
    own_trouble: bool,
    coordination_up: bool,
}

#[derive(Debug, Clone)]
struct Server {
    state: State,
    known: usize,
    missing: usize,
    error_ratio: f64,
    p95: f64,
    calls: f64,
}

/// One thing that becomes worse.
#[derive(Debug, Clone, Copy)]
enum Step {
    State(State),
    Tool,
    ErrorRatio(f64),
    P95(f64),
    Critical,
    Traffic,
    Alerts,
    Own,
    Coordination,
}

fn state() -> impl Strategy<Value = State> {
    prop::sample::select(State::ALL.to_vec())
}

// Worlds begin mostly well: in one that is red already nothing can be seen.
fn server() -> impl Strategy<Value = Server> {
    let state = prop_oneof![4 => Just(State::Healthy), 1 => Just(State::Degraded), 2 => state()];
    let missing = prop_oneof![4 => Just(0), 1 => 0_usize..8];
    let error_ratio = prop_oneof![6 => Just(0.0), 1 => 0.0..0.1];
    let p95 = prop_oneof![6 => Just(0.5), 1 => 0.0..10.0];
    let calls = prop::sample::select(vec![0.0, 19.0, 20.0, 500.0]);
    (state, 0_usize..8, missing, error_ratio, p95, calls).prop_map(
        |(state, known, missing, error_ratio, p95, calls)| Server {
            state,
            known,
            missing: missing.min(known),
            error_ratio,
            p95,
            calls,
        },
    )
}

fn world() -> impl Strategy<Value = World> {
    let trouble = || prop::bool::weighted(0.1);
    let flags = (trouble(), trouble(), trouble(), trouble(), trouble());
    (prop::collection::vec(server(), 1..5), flags).prop_map(|(servers, flags)| World {
        servers,
        critical: flags.0,
        traffic_readable: !flags.1,
        alerts_readable: !flags.2,
        own_trouble: flags.3,
        coordination_up: !flags.4,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => state().prop_map(Step::State),
        2 => Just(Step::Tool),
        2 => (0.0..0.1).prop_map(Step::ErrorRatio),
        2 => (0.0..10.0).prop_map(Step::P95),
        1 => prop::sample::select(vec![
            Step::Critical,
            Step::Traffic,
            Step::Alerts,
            Step::Own,
            Step::Coordination,
        ]),
    ]
}

/// Whether the state tells which tools there are.
fn lists(state: State) -> bool {
    Missing::of(&with_tools(watched("a", state), 1, 0)).is_some()
}

impl World {
    fn status(&self) -> Colour {
        let named = || self.servers.iter().enumerate().map(|(place, s)| (format!("s{place}"), s));
        let components = named()
            .map(|(name, s)| with_tools(watched(&name, s.state), s.known, s.missing))
            .collect();
        let mut snapshot = moment(components);
        snapshot.coordination_up = self.coordination_up;
        snapshot.own_trouble =
            self.own_trouble.then(|| OwnTrouble { since: NOW, why: "resolver".into() });
        let traffic = if self.traffic_readable {
            let servers = named().map(|(name, s)| (name, figures(s.calls, s.error_ratio, s.p95)));
            Source::Read(Traffic { servers: servers.collect(), ..Traffic::default() })
        } else {
            Source::Unreadable("no answer".into())
        };
        let alerts = if self.alerts_readable {
            let critical = FiringAlert {
                name: "A".into(),
                severity: "critical".into(),
                summary: String::new(),
            };
            Source::Read(if self.critical { vec![critical] } else { Vec::new() })
        } else {
            Source::Unreadable("no answer".into())
        };
        overall(&snapshot, &traffic, &alerts, &Objectives::default()).status
    }

    /// The world with one thing worse, or as it was when the step would not make it worse.
    fn worse(&self, place: usize, step: Step) -> Self {
        let mut world = self.clone();
        let place = place % world.servers.len();
        let server = &mut world.servers[place];
        match step {
            // While a server cannot be listed, tools known to be missing are not known to be.
            Step::State(state) if lists(server.state) && !lists(state) && server.missing > 0 => {}
            Step::State(state) => {
                if Colour::of_state(state) > Colour::of_state(server.state) {
                    server.state = state;
                }
            }
            Step::Tool => server.missing = (server.missing + 1).min(server.known),
            Step::ErrorRatio(more) => server.error_ratio += more,
            Step::P95(more) => server.p95 += more,
            Step::Critical => world.critical = true,
            // What a source said before it went away is forgotten, so only a quiet one goes.
            Step::Traffic => {
                if world.servers.iter().all(|s| s.error_ratio < 0.05 && s.p95 < 5.0) {
                    world.traffic_readable = false;
                }
            }
            Step::Alerts if !world.critical => world.alerts_readable = false,
            Step::Alerts => {}
            Step::Own => world.own_trouble = true,
            Step::Coordination => world.coordination_up = false,
        }
        world
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn worse_is_never_better(
        world in world(),
        steps in prop::collection::vec((0_usize..5, step()), 1..6),
    ) {
        let mut world = world;
        for (place, step) in steps {
            let worse = world.worse(place, step);
            prop_assert!(worse.status() >= world.status(), "{world:?}\n{step:?}\n{worse:?}");
            world = worse;
        }
    }
}
