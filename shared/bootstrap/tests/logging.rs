//! Logging is started once, with a filter that was checked.

use mcpmon_bootstrap::logging::{Logging, StartedTwice};
use mcpmon_bootstrap::{Settings, Sources};

#[test]
fn logging_starts_once() {
    let sources = Sources::default().flag("--log", "log.format", Some("json"));
    let mut settings = Settings::load(sources).unwrap();
    let (first, second) = (
        Logging::from_settings(&mut settings, "info"),
        Logging::from_settings(&mut settings, "info"),
    );
    settings.finish().unwrap();
    assert_eq!(first.start(), Ok(()));
    assert_eq!(second.start(), Err(StartedTwice));
}

#[test]
fn a_bad_format_and_a_bad_filter_are_told_together() {
    let sources = Sources {
        environment: [("RUST_LOG".to_owned(), "a=b=c".to_owned())].into(),
        ..Sources::default()
    };
    let sources = sources.alias("RUST_LOG", "log.filter").flag("--log", "log.format", Some("xml"));
    let mut settings = Settings::load(sources).unwrap();
    Logging::from_settings(&mut settings, "info");
    insta::assert_snapshot!(settings.finish().unwrap_err(), @r#"
    the configuration has 2 errors:
      log.format = "xml" in --log: expected `text` or `json` [env: MCPMON__LOG__FORMAT]
      log.filter = "a=b=c" in RUST_LOG: invalid filter directive: too many '=' in filter directive, expected 0 or 1 [env: MCPMON__LOG__FILTER]
    "#);
}
