//! The wall clock of the monitor's process jumps; the clock that never goes back stays real.

use std::fs;
use std::path::PathBuf;

use mcpmon_testkit::redis_server::{Persistence, RedisServer};

use crate::redis::Scene;

/// Where Debian puts the library.
fn libfaketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap();
    let libraries = folders.map(|it| it.unwrap().path().join("faketime/libfaketime.so.1"));
    let mut there = libraries.filter(|library| library.exists());
    there.next().expect("libfaketime is missing: `make test-deps` installs it")
}

#[test]
fn a_clock_that_jumps_by_an_hour_and_back_counts_and_tells_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let offset = folder.path().join("offset");
    // A reader must never find half a file.
    let set = |seconds: &str| {
        let next = folder.path().join("next");
        fs::write(&next, seconds).unwrap();
        fs::rename(next, &offset).unwrap();
    };
    set("+0");
    let library = format!("LD_PRELOAD={}", libfaketime().display());
    let file = format!("FAKETIME_TIMESTAMP_FILE={}", offset.display());
    let under = ["env", &library, &file, "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1"];
    let scene = Scene::of(RedisServer::start(Persistence::Aof), &under);
    scene.survives(|scene| {
        let slot = || scene.last_slot();
        let before = slot();
        set("+3600");
        scene.target.rounds(4);
        assert!(slot() >= before + 3_600_000, "the clock of the monitor jumped");
        set("+0");
        // Checks go on, though their slots lie ahead.
        scene.target.rounds(4);
        set("-3600");
        scene.target.rounds(4);
        set("+0");
        scene.target.rounds(4);
    });
}
