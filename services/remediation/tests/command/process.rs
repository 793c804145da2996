//! Signals.

use mcpmon_testkit::metric::metric;
use mcpmon_testkit::program::until;
use rustix::process::Signal;

use crate::program::{Setup, ask, metrics};

#[test]
fn a_bad_file_keeps_the_old_policy_and_a_good_one_replaces_it() {
    let setup = Setup::new();
    let service = setup.start();
    let wait = |successful: u8| {
        let gauge = metric("mcp_config_last_reload_successful").value(successful);
        until(&format!("the gauge says {successful}"), || {
            (!gauge.find(&metrics(&service)).is_empty()).then_some(())
        });
    };
    let mode = || {
        let page = ask(&service, "GET", "/api/v1/remediation", "reader", "").body;
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        page["rules"][0]["mode"].as_str().unwrap().to_owned()
    };
    wait(1);
    setup.write("perhaps");
    service.signal(Signal::HUP);
    wait(0);
    assert_eq!(mode(), "approve");
    let log = service.log();
    assert!(log.contains("the configuration stays as it was"), "{log}");
    assert!(log.contains("remediation.rules.shop.mode"), "{log}");
    setup.write("dry_run");
    service.signal(Signal::HUP);
    wait(1);
    assert_eq!(mode(), "dry_run");
    assert!(service.terminate().success());
}
