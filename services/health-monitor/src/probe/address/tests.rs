use crate::probe::address::below;
use crate::probe::testing::read;

fn complaint(kind: &str, keys: &[(&str, &str)]) -> String {
    read(kind, keys).map(|probe| format!("{probe:?}")).expect_err("the keys are wrong")
}

#[test]
fn a_url_is_needed_and_is_one_of_http() {
    for kind in ["alertmanager", "exporter", "http", "prometheus"] {
        let error = complaint(kind, &[]);
        assert!(error.contains("it.url: is not set; W"), "{error}");
    }
    insta::assert_snapshot!(complaint("prometheus", &[("url", "localhost:9090")]), @r#"
    the configuration has 1 error:
      it.url = "localhost:9090" in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL: expected a URL that begins with http:// or https:// [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL]
    "#);
    insta::assert_snapshot!(complaint("prometheus", &[("url", "nonsense")]), @r#"
    the configuration has 1 error:
      it.url = "nonsense" in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL: expected a URL such as http://localhost:9090 [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL]
    "#);
}

#[test]
fn a_secret_in_the_url_is_refused_and_not_shown() {
    let error = complaint("exporter", &[("url", "http://me:s3cret@host:9090")]);
    insta::assert_snapshot!(error, @r#"
    the configuration has 1 error:
      it.url in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL: holds a user or a password; it.token is the place for a secret [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__URL]
    "#);
    let broken = complaint("exporter", &[("url", "http://me:s3cret@ho st")]);
    assert!(!broken.contains("s3cret"), "{broken}");
}

#[test]
fn a_token_fits_into_a_header() {
    let keys = [("url", "http://host"), ("token", "two words")];
    insta::assert_snapshot!(complaint("http", &keys), @r#"
    the configuration has 1 error:
      it.token in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__TOKEN: cannot be sent in a header; expected visible ASCII without spaces [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__TOKEN]
    "#);
}

#[test]
fn keys_of_other_kinds_are_unknown() {
    let keys = [("url", "http://host"), ("expect_body", "x")];
    insta::assert_snapshot!(complaint("prometheus", &keys), @r#"
    the configuration has 1 error:
      it.expect_body in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__EXPECT_BODY: no such key; [health_monitor] has components.it.url, components.it.token, components.it.token_file
    "#);
}

#[test]
fn a_base_url_keeps_its_path() {
    let base = "http://host:1/prometheus/?x=1#y".parse().unwrap();
    let url = below(&base, "/api/v1/query", &[("query", "a b")]);
    assert_eq!(url.as_str(), "http://host:1/prometheus/api/v1/query?query=a+b");
    let bare = "http://host:1".parse().unwrap();
    assert_eq!(below(&bare, "/-/ready", &[]).as_str(), "http://host:1/-/ready");
}
