//! Each rule of the configuration, with the file that breaks it and what that file is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mcp_health_monitor::Config;
use mcpmon_bootstrap::Settings;

use crate::support::read_file;

#[test]
fn every_file_is_told_what_is_wrong_with_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    let told: BTreeMap<_, _> = files
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let told = read_file(&file).err().unwrap_or_default();
            assert!(!told.contains("s3cret"), "{name}: {told}");
            (name, told.replace(file.to_str().unwrap(), "FILE"))
        })
        .collect();
    for (name, told) in &told {
        assert_eq!(told.is_empty(), name == "good.toml", "{name}: {told}");
    }
    insta::assert_debug_snapshot!(told);
}

#[test]
fn there_may_be_a_thousand_components_and_no_more() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut text = String::new();
    for number in 0..1_001 {
        let table = format!("health_monitor.components.c{number}");
        text.push_str(&format!("[{table}]\nkind = \"tcp\"\naddress = \"localhost:1\"\n"));
    }
    fs::write(file.path(), &text).unwrap();
    let told = read_file(file.path()).unwrap_err();
    assert_eq!(
        told.replace(file.path().to_str().unwrap(), "FILE"),
        "the configuration has 1 error:\n  health_monitor.components in FILE: has 1001 components; \
         at most 1000 [env: MCPMON__HEALTH_MONITOR__COMPONENTS]"
    );
    let last = text.rfind('[').unwrap();
    fs::write(file.path(), &text[..last]).unwrap();
    assert_eq!(read_file(file.path()).unwrap().watch.components.len(), 1_000);
}

#[test]
fn the_good_file_sets_every_key() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/good.toml");
    let text = fs::read_to_string(&file).unwrap();
    let mut settings = Settings::empty();
    Config::document(&mut settings);
    for key in settings.documentation() {
        let name = key.key.rsplit('.').next().unwrap();
        // A secret stands in the file or in a file of its own, never in both.
        let given = |name: &str| {
            text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} =")))
        };
        assert!(given(name), "{} is not in good.toml", key.key);
    }
}
