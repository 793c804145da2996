//! Tests that change the machine's network or mounts do it where nobody else sees it.

use std::env;
use std::process::Command;

/// Says to a test that it runs apart already.
const APART: &str = "MCPMON_TEST_APART";

/// Runs the body of the test of that name in a network and a mount namespace of its own.
#[track_caller]
pub(crate) fn apart(test: &str, body: impl FnOnce()) {
    if env::var_os(APART).is_some() {
        return body();
    }
    assert!(
        rustix::process::getuid().is_root(),
        "this test must run as root: it makes a network and mounts of its own"
    );
    let output = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(APART, "1")
        .output()
        .expect("unshare can be run: install the packages util-linux and iproute2");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

/// Runs a command line that must succeed.
#[track_caller]
pub(crate) fn shell(line: &str) {
    let done = Command::new("sh").args(["-ec", line]).output().unwrap();
    assert!(done.status.success(), "{line}: {done:?}");
}
