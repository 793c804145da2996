//! Kind `docker`, with a real engine. It takes seconds to start, so the cases share it.

use std::time::Duration;

use mcp_remediation::action::{Action, Condition, Trouble};
use tokio::time::{Instant, sleep};

use crate::engine::Engine;
use crate::support::{act, action, condition, is_ours, is_supervised, order, run, stopped, until};

/// A program that ends when it is asked to, with that code.
fn polite(code: i32) -> String {
    format!("trap 'exit {code}' TERM; while :; do sleep 0.05; done")
}

const DEAF: &str = "exec sleep 1d";

fn container(engine: &Engine, name: &str, more: &[(&str, &str)]) -> Box<dyn Action> {
    let address = engine.address();
    let keys = [("container", name), ("engine", address.as_str()), ("stop_seconds", "1")];
    action("docker", &[&keys, more].concat())
}

#[tokio::test]
async fn a_real_engine_restarts_what_is_ours() {
    let engine = Engine::start();
    killed(&engine).await;
    looping(&engine).await;
    stopped_by_a_person(&engine).await;
    not_there(&engine).await;
    frozen(&engine).await;
}

async fn killed(engine: &Engine) {
    // Its policy would bring it back from a crash, and does not from a kill.
    engine.run("killed", &["--restart", "always"], DEAF);
    let action = container(engine, "killed", &[]);
    assert!(is_ours(&condition(&*action).await));
    engine.docker(&["kill", "killed"]);
    until(&*action, is_ours).await;
    let state = ["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "killed"];
    assert_eq!(engine.docker(&state), "exited 137");
    let before = run(&*action).await;
    assert_eq!(act(&*action).await, Ok(()));
    let after = run(&*action).await;
    assert_ne!(before.generation, after.generation);
    assert!(before.started_at < after.started_at, "{before:?} {after:?}");
    assert_eq!(engine.docker(&state), "running 0");
    // And once more from a running one, which is deaf to TERM and is killed after a second.
    assert_eq!(act(&*action).await, Ok(()));
    assert_ne!(run(&*action).await.generation, after.generation);

    engine.run("crashed", &["--restart", "on-failure:1"], "exit 1");
    let action = container(engine, "crashed", &[]);
    // Its policy gives up after one more.
    until(&*action, is_ours).await;
}

async fn looping(engine: &Engine) {
    engine.run("looping", &["--restart", "unless-stopped"], "sleep 0.1; exit 1");
    let action = container(engine, "looping", &[]);
    until(&*action, is_supervised).await;
    for _ in 0..50 {
        let seen = condition(&*action).await;
        assert!(is_supervised(&seen), "{seen:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn stopped_by_a_person(engine: &Engine) {
    for code in [0, 143] {
        let name = format!("polite-{code}");
        engine.run(&name, &["--restart", "always"], &polite(code));
        let action = container(engine, &name, &[]);
        assert!(is_ours(&condition(&*action).await));
        engine.docker(&["stop", &name]);
        assert_eq!(condition(&*action).await, stopped(&format!("exited with {code}")));
        let forced = container(engine, &name, &[("act_on_stopped", "true")]);
        assert!(is_ours(&condition(&*forced).await));
    }
    // This one cannot be told from a crash.
    engine.run("deaf", &[], DEAF);
    engine.docker(&["stop", "--time", "0", "deaf"]);
    assert!(is_ours(&condition(&*container(engine, "deaf", &[])).await));

    engine.run("paused", &[], DEAF);
    engine.docker(&["pause", "paused"]);
    assert_eq!(condition(&*container(engine, "paused", &[])).await, stopped("paused"));
    engine.docker(&["unpause", "paused"]);

    engine.docker(&["create", "--name", "created", crate::engine::IMAGE, "true"]);
    let seen = container(engine, "created", &[]).look(crate::support::PATIENCE).await.unwrap();
    assert_eq!(seen.run, None);
    assert_eq!(seen.condition, stopped("created and never started"));
}

async fn not_there(engine: &Engine) {
    let action = container(engine, "no-such", &[]);
    assert!(matches!(action.look(Duration::from_secs(5)).await, Err(Trouble::Absent(_))));
    assert!(matches!(act(&*action).await, Err(Trouble::Absent(_))));
    // The engine takes the beginning of an id for its container.
    let id = engine.docker(&["inspect", "--format", "{{.Id}}", "deaf"]);
    let action = container(engine, &id[..8], &[]);
    assert!(matches!(action.look(Duration::from_secs(5)).await, Err(Trouble::Absent(_))));
}

async fn frozen(engine: &Engine) {
    let action = container(engine, "killed", &[]);
    let before = run(&*action).await;
    engine.freeze();
    let (deadline, start) = (Duration::from_secs(1), Instant::now());
    let ended = action.act(&order(), deadline).await;
    assert!(matches!(ended, Err(Trouble::Unknown(_))), "{ended:?}");
    let looked = action.look(deadline).await;
    assert!(matches!(looked, Err(Trouble::Unknown(_))), "{looked:?}");
    assert!(start.elapsed() <= deadline * 2, "{:?}", start.elapsed());
    // The first call is still in flight, so there is no second.
    let ended = action.act(&order(), deadline).await;
    assert!(matches!(ended, Err(Trouble::Refused(_))), "{ended:?}");
    engine.thaw();
    let limit = Instant::now() + crate::support::PATIENCE;
    // What nobody waited for was done all the same.
    while run(&*action).await.generation == before.generation {
        assert!(Instant::now() < limit, "the call was lost");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(condition(&*action).await, Condition::Ours);
    loop {
        match act(&*action).await {
            Ok(()) => break,
            Err(Trouble::Refused(_)) if Instant::now() < limit => {
                sleep(Duration::from_millis(50)).await;
            }
            other => panic!("{other:?}"),
        }
    }
}
