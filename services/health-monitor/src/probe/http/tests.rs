mod hostile;
mod tls;

use std::time::Duration;

use mcpmon_coordination::incident::Failure;
use mcpmon_testkit::http_script::{Answer, HttpScript};

use crate::finding::{Outcome, Unknown};
use crate::probe::testing::{check, probe, read};

#[tokio::test]
async fn each_check_asks_once_over_a_connection_of_its_own() {
    let server = HttpScript::start(|_| Answer::status(200, "all is well"));
    let url = server.url() + "/health?deep=1";
    let probe = probe("http", &[("url", &url), ("token", "t0ken"), ("expect_body", "is well")]);
    for _ in 0..2 {
        let finding = probe.check(Duration::from_secs(20)).await;
        assert_eq!((finding.outcome, finding.error, finding.warning), (Outcome::Ok, None, None));
        assert!(finding.latency.is_some());
    }
    let requests = server.requests();
    let asked: Vec<_> = requests.iter().map(|r| (&*r.method, &*r.path, r.connection)).collect();
    assert_eq!(asked, [("GET", "/health?deep=1", 0), ("GET", "/health?deep=1", 1)]);
    assert_eq!(requests[0].header("authorization"), Some("Bearer t0ken"));
    assert!(requests[0].header("user-agent").unwrap().starts_with("mcp-health-monitor/"));
    assert!(!format!("{probe:?}").contains("t0ken"), "{probe:?}");
}

#[tokio::test]
async fn the_status_says_what_is_wrong() {
    let server = HttpScript::start(|request| {
        let status = request.path.trim_start_matches("/").split('?').next().unwrap();
        Answer::status(status.parse().unwrap(), "").with_header("retry-after", "7")
    });
    let fail = Outcome::Fail;
    for (status, expected) in [
        (204, Outcome::Ok),
        (304, Outcome::Ok),
        (401, fail(Failure::AuthRequired)),
        (403, fail(Failure::AuthRequired)),
        (404, fail(Failure::Http4xx)),
        (429, Outcome::Unknown(Unknown::RateLimited)),
        (500, fail(Failure::Http5xx)),
        (503, fail(Failure::Http5xx)),
    ] {
        let url = format!("{}/{status}?key=secret", server.url());
        let finding = check("http", &[("url", &url)]).await;
        assert_eq!(finding.outcome, expected, "{status}: {finding:?}");
        let waits = (status == 429).then_some(Duration::from_secs(7));
        assert_eq!(finding.retry_after, waits, "{status}");
        if let Some(error) = finding.error {
            let asked = format!("GET {}/{status}: it answers {status} ", server.url());
            assert!(error.starts_with(&asked), "{error}");
            assert!(error.ends_with(", expected 200 to 399"), "{error}");
        }
        let chosen = check("http", &[("url", &url), ("expect_status", "[418, 204, 401]")]).await;
        let chosen_is_ok = chosen.outcome == Outcome::Ok;
        assert_eq!(chosen_is_ok, matches!(status, 204 | 401), "{status}: {chosen:?}");
    }
    let url = server.url() + "/204";
    let finding = check("http", &[("url", &url), ("expect_status", "[200, 418]")]).await;
    let error = format!("GET {url}: it answers 204 No Content, expected 200 or 418");
    assert_eq!((finding.outcome, finding.error), (fail(Failure::Other), Some(error)));
}

#[tokio::test]
async fn a_retry_after_may_be_a_date_and_is_at_most_an_hour() {
    let server = HttpScript::start(|request| {
        let after = match &*request.path {
            "/past" => "Sun, 06 Nov 1994 08:49:37 GMT",
            "/far" => "Fri, 06 Nov 2099 08:49:37 GMT",
            _ => "soon",
        };
        Answer::status(429, "").with_header("retry-after", after)
    });
    for (path, expected) in
        [("/past", Some(Duration::ZERO)), ("/far", Some(Duration::from_secs(3600))), ("/no", None)]
    {
        let finding = check("http", &[("url", &(server.url() + path))]).await;
        assert_eq!(finding.retry_after, expected, "{path}");
    }
}

#[tokio::test]
async fn a_body_without_the_text_is_bad() {
    let server = HttpScript::start(|_| Answer::status(200, "<html>log in</html>"));
    let finding = check("http", &[("url", &server.url()), ("expect_body", "ok")]).await;
    let error = format!("GET {}/: `ok` is not in the 19 bytes of the body", server.url());
    assert_eq!(finding.outcome, Outcome::Fail(Failure::BadBody));
    assert_eq!(finding.error, Some(error));
    assert!(finding.latency.is_some());
}

#[tokio::test]
async fn a_redirect_takes_no_token_to_another_origin() {
    let other = HttpScript::start(|_| Answer::status(200, ""));
    let place = other.url();
    let server = HttpScript::start(move |request| match &*request.path {
        "/away" => Answer::status(302, "").with_header("location", &place),
        "/loop" => Answer::status(302, "").with_header("location", "/loop"),
        "/home" => Answer::status(307, "").with_header("location", "/"),
        _ => Answer::status(200, ""),
    });
    let keys = |path: &str| server.url() + path;
    let (away, home) = (keys("/away"), keys("/home"));
    for url in [&away, &home] {
        let finding = check("http", &[("url", url), ("token", "t0ken")]).await;
        assert_eq!(finding.outcome, Outcome::Ok, "{finding:?}");
    }
    assert_eq!(other.requests()[0].header("authorization"), None);
    assert_eq!(other.requests()[0].header("referer"), None);
    let requests = server.requests();
    let stayed = requests.iter().find(|request| request.path == "/").unwrap();
    assert_eq!(stayed.header("authorization"), Some("Bearer t0ken"));

    let finding = check("http", &[("url", &keys("/loop"))]).await;
    assert_eq!(finding.outcome, Outcome::Fail(Failure::Other));
    let error = format!("GET {}: too many redirects", keys("/loop"));
    assert_eq!(finding.error, Some(error));
    let loops = server.requests().iter().filter(|request| request.path == "/loop").count();
    assert_eq!(loops, 6);

    let finding = check("http", &[("url", &away), ("follow_redirects", "false")]).await;
    assert_eq!(finding.outcome, Outcome::Ok);
    assert_eq!(other.requests().len(), 1);
}

#[test]
fn bad_values_are_told() {
    let complaint = |key: (&str, &str)| {
        let read = read("http", &[("url", "http://host"), key]);
        read.map(|probe| format!("{probe:?}")).expect_err(key.1)
    };
    insta::assert_snapshot!(complaint(("expect_status", "[200, 99]")), @r#"
    the configuration has 1 error:
      it.expect_status = "[200, 99]" in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__EXPECT_STATUS: expected a list of statuses from 100 to 599, such as [200, 204] [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__EXPECT_STATUS]
    "#);
    insta::assert_snapshot!(complaint(("expect_status", "ok")), @r#"
    the configuration has 1 error:
      it.expect_status = "ok" in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__EXPECT_STATUS: expected a list [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__EXPECT_STATUS]
    "#);
    insta::assert_snapshot!(complaint(("expect_status", "[]")), @r#"
    the configuration has 1 error:
      it.expect_status = "[]" in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__EXPECT_STATUS: expected a list of statuses from 100 to 599, such as [200, 204] [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__EXPECT_STATUS]
    "#);
    insta::assert_snapshot!(complaint(("certificate_days", "3651")), @r#"
    the configuration has 1 error:
      it.certificate_days = "3651" in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__CERTIFICATE_DAYS: expected a number from 0 to 3650 [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__CERTIFICATE_DAYS]
    "#);
    insta::assert_snapshot!(complaint(("follow_redirects", "maybe")), @r#"
    the configuration has 1 error:
      it.follow_redirects = "maybe" in MCPMON__HEALTH_MONITOR__COMPONENTS__IT__FOLLOW_REDIRECTS: expected true or false [env: MCPMON__HEALTH_MONITOR__COMPONENTS__IT__FOLLOW_REDIRECTS]
    "#);
    let long = "x".repeat((64 << 10) + 1);
    assert!(complaint(("expect_body", &long)).contains("expected a text of 1 to 65536 bytes"));
}
