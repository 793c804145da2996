//! Each rule of the configuration, with the file that breaks it and what that file is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mcp_exporter::{Config, SECTIONS};
use mcpmon_bootstrap::logging::Logging;
use mcpmon_bootstrap::{Settings, Sources};

/// What the file is told; nothing when it is good. Paths in it are relative to the crate, where
/// tests run.
fn told(file: &Path) -> String {
    let sources = Sources { file: Some(file.to_owned()), sections: SECTIONS, ..Sources::default() };
    let mut settings = match Settings::load(sources) {
        Ok(settings) => settings,
        Err(errors) => return errors.to_string(),
    };
    Config::read(&mut settings);
    Logging::from_settings(&mut settings, "info");
    settings.finish().err().map(|errors| errors.to_string()).unwrap_or_default()
}

#[test]
fn every_file_is_told_what_is_wrong_with_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    let told: BTreeMap<_, _> = files
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let told = told(&file).replace(file.to_str().unwrap(), "FILE");
            (name, told)
        })
        .collect();
    insta::assert_debug_snapshot!(told);
}

#[test]
fn the_good_file_sets_every_key() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/good.toml");
    let text = fs::read_to_string(&file).unwrap();
    let mut settings = Settings::empty();
    Config::read(&mut settings);
    for key in settings.documentation() {
        let name = key.key.rsplit('.').next().unwrap();
        // A secret stands in the file or in a file of its own, never in both.
        let given = |name: &str| {
            text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} =")))
        };
        assert!(given(name), "{} is not in good.toml", key.key);
    }
}
