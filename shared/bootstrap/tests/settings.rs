//! The rules of the configuration: a file of `testdata` for each, and the exact words of its error.
#![expect(clippy::unwrap_used, reason = "clippy sees no test in a helper of an integration test")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use mcpmon_bootstrap::settings::within;
use mcpmon_bootstrap::{ConfigErrors, Settings, Sources};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    p95_seconds: f64,
}

#[derive(Debug)]
struct Demo {
    port: u16,
    enabled: bool,
    name: String,
    ratio: f64,
    wait: Duration,
    allowed: Vec<String>,
    limits: BTreeMap<String, Limits>,
    token: Option<SecretString>,
}

fn read(settings: &mut Settings) -> Demo {
    let side = |name: String| match name.as_str() {
        "left" | "right" => Ok(name),
        _ => Err("expected left or right"),
    };
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    Demo {
        port: settings.value("demo.port", 9090, "Port."),
        enabled: settings.value("demo.enabled", true, "Whether."),
        name: settings.checked("demo.name", "right".to_owned(), "Side.", side),
        ratio: settings.checked("demo.ratio", 1.0, "Ratio.", within(0.0..=10.0)),
        wait: settings.seconds("demo.wait_seconds", second, second / 10..=minute, "Patience."),
        allowed: settings.value("demo.allowed", Vec::new(), "Names."),
        limits: settings.value("demo.limits", BTreeMap::new(), "Limits by name."),
        token: settings.secret("demo.read_token", "Token."),
    }
}

fn file(name: &str) -> Sources {
    Sources {
        file: Some(PathBuf::from(format!("tests/testdata/{name}.toml"))),
        sections: &["demo", "elsewhere"],
        ..Sources::default()
    }
}

fn environment(variables: &[(&str, &str)]) -> Sources {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    Sources { environment: variables.iter().map(owned).collect(), ..Sources::default() }
}

fn load(sources: Sources) -> Result<Demo, ConfigErrors> {
    let mut settings = Settings::load(sources)?;
    let demo = read(&mut settings);
    settings.finish()?;
    Ok(demo)
}

fn fault(sources: Sources) -> String {
    load(sources).unwrap_err().lines().join("\n")
}

/// The names of the files with a fault. Each begins with what is said of it, as comments in which
/// `$` stands for its path.
fn bad_files() -> Vec<String> {
    let names = std::fs::read_dir("tests/testdata").unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned));
    names.filter(|name| name != "good").collect()
}

#[test]
fn each_fault_is_told_in_these_words() {
    let names = bad_files();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let path = format!("tests/testdata/{name}.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = text.lines().map_while(|line| line.strip_prefix("# "));
        let expected: Vec<_> = expected.map(|line| line.replace('$', &path)).collect();
        assert_eq!(load(file(&name)).unwrap_err().lines(), expected);
    }
}

#[test]
fn a_good_file_is_read_with_its_types() {
    let demo = load(file("good")).unwrap();
    assert_eq!((demo.port, demo.enabled, demo.ratio), (8080, true, 2.0));
    assert_eq!(demo.name, "left");
    assert_eq!(demo.wait, Duration::from_millis(500));
    assert_eq!(demo.allowed, ["a.example", "b.example:8443"]);
    assert_eq!(demo.limits["search"], Limits { p95_seconds: 2.5 });
}

#[test]
fn each_layer_stands_above_the_one_before() {
    let mut sources = file("good");
    assert_eq!(load(file("good")).unwrap().port, 8080);

    let variables = [("MCPMON__DEMO__PORT", "1"), ("MCPMON__DEMO__NAME", ""), ("DEMO_PORT", "2")];
    sources.environment = environment(&variables).environment;
    let demo = load(sources).unwrap();
    assert_eq!(demo.port, 1);
    assert_eq!(demo.name, "left", "an empty variable counts as unset");

    let sources = environment(&variables).alias("DEMO_PORT", "demo.port");
    assert_eq!(load(sources).unwrap().port, 2);

    let sources = environment(&variables)
        .alias("DEMO_PORT", "demo.port")
        .flag("--port", "demo.port", Some(3))
        .flag("--port", "demo.port", None::<u16>);
    assert_eq!(load(sources).unwrap().port, 3);
}

#[test]
fn texts_of_the_environment_become_what_is_wanted() {
    let demo = load(environment(&[
        ("MCPMON__DEMO__PORT", "81"),
        ("MCPMON__DEMO__ENABLED", "false"),
        ("MCPMON__DEMO__RATIO", "3"),
        ("MCPMON__DEMO__WAIT_SECONDS", "1.5"),
        ("MCPMON__DEMO__ALLOWED", "a.example, 7"),
        ("MCPMON__DEMO__LIMITS__SEARCH__P95_SECONDS", "4"),
        ("MCPMON__DEMO__READ_TOKEN", "12345"),
    ]))
    .unwrap();
    assert_eq!((demo.port, demo.enabled, demo.ratio), (81, false, 3.0));
    assert_eq!(demo.wait, Duration::from_millis(1500));
    assert_eq!(demo.allowed, ["a.example", "7"]);
    assert_eq!(demo.limits["search"], Limits { p95_seconds: 4.0 });
    assert_eq!(demo.token.unwrap().expose_secret(), "12345");
}

#[test]
fn an_error_names_the_variable_or_flag_that_it_came_from() {
    let variable = environment(&[("MCPMON__DEMO__PORT", "http")]);
    insta::assert_snapshot!(fault(variable), @r#"demo.port = "http" in MCPMON__DEMO__PORT: expected a whole number from 0 to 65535 [env: MCPMON__DEMO__PORT]"#);
    let alias = environment(&[("DEMO_PORT", "70000")]).alias("DEMO_PORT", "demo.port");
    insta::assert_snapshot!(fault(alias), @r#"demo.port = "70000" in DEMO_PORT: expected a whole number from 0 to 65535 [env: MCPMON__DEMO__PORT]"#);
    let flag = Sources::default().flag("--side", "demo.name", Some("up"));
    insta::assert_snapshot!(fault(flag), @r#"demo.name = "up" in --side: expected left or right [env: MCPMON__DEMO__NAME]"#);
}

#[test]
fn a_misspelt_variable_is_an_error_and_a_stranger_is_not() {
    let strangers = environment(&[("MCPMON__OTHER__PORT", "x"), ("MCPMON__ELSEWHERE__X", "1")]);
    assert_eq!(load(strangers).unwrap().port, 9090);
    insta::assert_snapshot!(fault(environment(&[("MCPMON__DEMO__PROT", "1")])), @"demo.prot in MCPMON__DEMO__PROT: no such key; did you mean demo.port? [env: MCPMON__DEMO__PORT]");
}

#[test]
fn a_secret_of_a_stronger_layer_wins_and_files_are_trimmed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, " from-file \n").unwrap();
    let path = path.to_str().unwrap();
    let token = |sources| load(sources).unwrap().token.unwrap().expose_secret().to_owned();

    let by_file = || environment(&[("MCPMON__DEMO__READ_TOKEN_FILE", path)]);
    assert_eq!(token(by_file()), "from-file");
    assert_eq!(token(by_file().flag("--token", "demo.read_token", Some("direct"))), "direct");

    let direct = environment(&[("MCPMON__DEMO__READ_TOKEN", "direct"), ("TOKEN_FILE", path)]);
    assert_eq!(token(direct.alias("TOKEN_FILE", "demo.read_token_file")), "from-file");
}

#[test]
fn no_secret_in_errors_or_debug() {
    const SECRET: &str = "s3cret";
    for name in bad_files() {
        let error = load(file(&name)).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
    }
    let variables = [("MCPMON__DEMO__READ_TOKEN", SECRET), ("MCPMON__DEMO__TOKN", SECRET)];
    let sources = environment(&variables).flag("--token", "demo.read_token", Some(SECRET));
    let mut shown = format!("{sources:?}");
    let mut settings = Settings::load(sources).unwrap();
    let demo = read(&mut settings);
    shown += &format!("{settings:?} {demo:?}");
    shown += &format!("{:?}", settings.finish());
    assert!(shown.contains("demo.tokn"), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    insta::assert_snapshot!(fault(file("does/not/exist")), @"tests/testdata/does/not/exist.toml: the file cannot be read: No such file or directory (os error 2)");
}

#[test]
fn rejections_join_the_other_errors() {
    let mut settings = Settings::load(file("out_of_range")).unwrap();
    read(&mut settings);
    settings.reject("demo.port", "expected a port that fits demo.name");
    insta::assert_snapshot!(settings.finish().unwrap_err(), @r"
    the configuration has 2 errors:
      demo.ratio = 11 in tests/testdata/out_of_range.toml: expected a number from 0 to 10 [env: MCPMON__DEMO__RATIO]
      demo.port: expected a port that fits demo.name [env: MCPMON__DEMO__PORT]
    ");
}

#[test]
fn the_documentation_lists_every_key_that_is_read() {
    let mut settings = Settings::empty();
    read(&mut settings);
    let lines = settings
        .documentation()
        .iter()
        .map(|key| format!("{} | {} | {} | {}\n", key.key, key.environment, key.default, key.doc));
    insta::assert_snapshot!(lines.collect::<String>(), @r#"
    demo.port | MCPMON__DEMO__PORT | 9090 | Port.
    demo.enabled | MCPMON__DEMO__ENABLED | true | Whether.
    demo.name | MCPMON__DEMO__NAME | "right" | Side.
    demo.ratio | MCPMON__DEMO__RATIO | 1.0 | Ratio.
    demo.wait_seconds | MCPMON__DEMO__WAIT_SECONDS | 1 | Patience.
    demo.allowed | MCPMON__DEMO__ALLOWED | [] | Names.
    demo.limits | MCPMON__DEMO__LIMITS | {} | Limits by name.
    demo.read_token | MCPMON__DEMO__READ_TOKEN | unset | Token.
    demo.read_token_file | MCPMON__DEMO__READ_TOKEN_FILE | unset | File that holds `demo.read_token`.
    "#);
    settings.finish().unwrap();
}

#[test]
fn tables_that_the_user_names_are_listed() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[demo.parts.b]\nport = 1\n[demo.parts.a]\n[demo]\nport = 2\n")
        .unwrap();
    let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
    let sources = sources.flag("--part", "demo.parts.c.port", Some(3));
    let settings = Settings::load(sources).unwrap();
    assert_eq!(settings.tables("demo.parts"), ["a", "b", "c"]);
    assert_eq!(settings.tables("demo.port"), [""; 0]);
    assert_eq!(settings.tables("demo.none"), [""; 0]);
}

#[test]
fn services_that_share_a_section_leave_each_other_s_keys_alone() {
    let set = |settings: Sources, key| settings.flag("--given", key, Some(7));
    let given = || set(set(Sources::default(), "demo.mine"), "demo.theirs");
    let mut settings = Settings::load(given()).unwrap();
    settings.value("demo.mine", 0, "");
    settings.shared("demo");
    settings.finish().unwrap();
    let mut settings = Settings::load(given()).unwrap();
    settings.value("demo.mine", 0, "");
    settings.foreign("demo.theirs");
    settings.finish().unwrap();
    let mut settings = Settings::load(given()).unwrap();
    settings.value("demo.mine", 0, "");
    assert!(settings.finish().unwrap_err().to_string().contains("demo.theirs"));
}
