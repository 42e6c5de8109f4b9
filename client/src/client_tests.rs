//! The client against scripted routers.

use std::time::Duration;

use super::*;
use crate::idempotency::IdempotencyKey;
use crate::test_router::{Step, TestRouter, nobody};
use crate::write::Ttl;

fn tag(text: &str) -> Vec<(&'static str, String)> {
    vec![("etag", format!("\"{text}\""))]
}

fn problem(status: u16, body: &'static str) -> Step {
    Step::Answer(status, vec![("content-type", "application/problem+json".to_owned())], body)
}

fn client(routers: &[&str]) -> Client {
    let mut builder = Client::builder()
        .attempt_timeout(Duration::from_millis(200))
        .deadline(Duration::from_secs(3))
        .first_router(0);
    for router in routers {
        builder = builder.router(*router);
    }
    builder.build().expect("a client")
}

#[tokio::test]
async fn get_returns_value_version_type_and_expiry() {
    let mut headers = tag("07");
    headers.push(("content-type", "text/plain".to_owned()));
    headers.push(("roundtable-expires", "1700000000000".to_owned()));
    let router = TestRouter::start(vec![Step::Answer(200, headers, "hello")]).await;
    let entry = client(&[&router.address]).get("a/b c").await.unwrap().unwrap();
    assert_eq!((&entry.value[..], entry.etag.as_str()), (&b"hello"[..], "07"));
    assert_eq!((entry.content_type.as_str(), entry.expires_at_ms), ("text/plain", Some(1_700_000_000_000)));
    let seen = router.seen();
    assert!(seen[0].target.starts_with("/v1/kv/a/b%20c?timeout="), "{}", seen[0].target);
    assert!(!seen[0].headers.contains_key("idempotency-key"));
}

#[tokio::test]
async fn get_of_an_absent_key_is_none_and_of_an_absent_address_an_error() {
    let absent = problem(404, r#"{"code":"not_found"}"#);
    let elsewhere = problem(404, r#"{"code":"no_such_route"}"#);
    let router = TestRouter::start(vec![absent, elsewhere]).await;
    let client = client(&[&router.address]);
    assert_eq!(client.get("k").await, Ok(None));
    assert!(matches!(client.get("k").await, Err(Error::Refused(problem)) if problem.status == 404));
}

#[tokio::test]
async fn put_sends_conditions_ttl_and_content_type() {
    let router = TestRouter::start(vec![
        Step::Answer(201, tag("01"), ""),
        Step::Answer(204, tag("02"), ""),
        Step::Answer(412, tag("03"), "{}"),
    ])
    .await;
    let client = client(&[&router.address]);
    let put = Put::new("v").ttl(Duration::from_secs(30)).content_type("text/csv");
    assert!(client.create("k", put).await.unwrap().created);
    let expected: ETag = "01".parse().unwrap();
    assert!(!client.compare_and_set("k", &expected, "w").await.unwrap().created);
    let refused = client.compare_and_set("k", &expected, "x").await.unwrap_err();
    assert_eq!(refused, Error::PreconditionFailed { current: Some("03".parse().unwrap()) });
    let seen = router.seen();
    assert!(seen[0].target.contains("ttl=30000ms"), "{}", seen[0].target);
    assert_eq!(seen[0].headers["if-none-match"], "*");
    assert_eq!(seen[0].headers["content-type"], "text/csv");
    assert_eq!(seen[1].headers["if-match"], "\"01\"");
    assert_eq!(&seen[1].body[..], b"w");
    assert_ne!(seen[0].headers["idempotency-key"], seen[1].headers["idempotency-key"]);
}

#[tokio::test]
async fn write_whose_first_attempt_was_lost_is_repeated_under_the_same_name_elsewhere() {
    let first = TestRouter::start(vec![Step::Lose]).await;
    let second =
        TestRouter::start(vec![Step::Answer(204, tag("02"), ""), Step::Answer(204, tag("03"), "")]).await;
    let client = client(&[&first.address, &second.address]);
    assert_eq!(client.put("k", "v").await.unwrap().etag.as_str(), "02");
    let (lost, repeated) = (first.seen().remove(0), second.seen().remove(0));
    assert_eq!(lost.headers["idempotency-key"], repeated.headers["idempotency-key"]);
    assert_eq!((lost.method, lost.body), (repeated.method, repeated.body));
    client.put("k", "w").await.unwrap();
    assert_eq!(
        (first.seen().len(), second.seen().len()),
        (1, 2),
        "the router that answered is preferred now"
    );
}

#[tokio::test]
async fn write_in_doubt_stays_so_when_no_other_router_can_be_reached() {
    let router = TestRouter::start(vec![Step::Lose]).await;
    let nobody = nobody().await;
    let client = Client::builder()
        .router(&router.address)
        .router(nobody)
        .first_router(0)
        .deadline(Duration::from_millis(10))
        .build()
        .unwrap();
    let error = client.increment("n", 1).await.unwrap_err();
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Unknown, true));
    let name = error.idempotency_key().unwrap();
    assert_eq!(router.seen()[0].headers["idempotency-key"], name.as_str());
}

#[tokio::test]
async fn write_that_was_never_sent_is_not_applied() {
    let nobody = nobody().await;
    let client = Client::builder().router(nobody).deadline(Duration::from_millis(50)).build().unwrap();
    let error = client.put("k", "v").await.unwrap_err();
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::NotApplied, true));
}

#[tokio::test]
async fn silent_router_is_left_for_the_next_after_the_attempt_timeout() {
    let silent = TestRouter::start(vec![Step::Hang]).await;
    let second = TestRouter::start(vec![Step::Answer(200, tag("01"), "v")]).await;
    let entry = client(&[&silent.address, &second.address]).get("k").await.unwrap().unwrap();
    assert_eq!(&entry.value[..], b"v");
}

#[tokio::test]
async fn refusal_that_another_attempt_may_mend_is_repeated() {
    let busy = problem(503, r#"{"code":"no_quorum","retryable":true}"#);
    let router = TestRouter::start(vec![busy, Step::Answer(201, tag("01"), "")]).await;
    assert!(client(&[&router.address]).put("k", "v").await.unwrap().created);
    assert_eq!(router.seen().len(), 2);
}

#[tokio::test]
async fn refusal_for_good_is_not_repeated() {
    let router =
        TestRouter::start(vec![problem(413, r#"{"code":"value_too_large","detail":"1 MiB"}"#)]).await;
    let error = client(&[&router.address]).put("k", "v").await.unwrap_err();
    assert_eq!(error.to_string(), "refused: 413 value_too_large: 1 MiB");
    assert_eq!((error.outcome(), router.seen().len()), (Outcome::NotApplied, 1));
}

#[tokio::test]
async fn increment_returns_the_number_or_the_refusal() {
    let router = TestRouter::start(vec![
        Step::Answer(200, tag("01"), "-41"),
        problem(409, r#"{"code":"not_a_counter"}"#),
    ])
    .await;
    let client = client(&[&router.address]);
    assert_eq!(client.increment("n", -42).await.unwrap().value, -41);
    assert!(
        matches!(client.increment("n", 1).await, Err(Error::Refused(problem)) if problem.code == "not_a_counter")
    );
    assert!(router.seen()[0].target.starts_with("/v1/kv/n?op=increment&by=-42&timeout="));
}

#[tokio::test]
async fn delete_and_touch_tell_whether_there_was_a_key() {
    let absent = || problem(404, r#"{"code":"not_found"}"#);
    let router = TestRouter::start(vec![
        Step::Answer(204, vec![], ""),
        absent(),
        Step::Answer(204, tag("05"), ""),
        absent(),
    ])
    .await;
    let client = client(&[&router.address]);
    assert_eq!(client.delete("k").await, Ok(true));
    assert_eq!(client.delete("k").await, Ok(false));
    assert_eq!(client.touch("k", Ttl::Never).await.unwrap().unwrap().as_str(), "05");
    assert_eq!(client.touch("k", Duration::from_millis(1500)).await, Ok(None));
    assert!(router.seen()[2].target.contains("op=touch&ttl=none"));
    assert!(router.seen()[3].target.contains("op=touch&ttl=1500ms"));
}

#[tokio::test]
async fn condition_without_meaning_is_refused_before_anything_is_sent() {
    let router = TestRouter::start(vec![]).await;
    let client = client(&[&router.address]);
    let delete = Delete::new().condition(Condition::Absent);
    assert_eq!(client.delete_with("k", delete).await, Err(RequestError::Condition.into()));
    assert!(matches!(client.put("k", Put::new("").content_type("a\nb")).await, Err(Error::Request(_))));
    assert!(router.seen().is_empty());
}

#[tokio::test]
async fn success_without_a_version_leaves_a_write_in_doubt() {
    let router = TestRouter::start(vec![Step::Answer(204, vec![], "")]).await;
    let error = client(&[&router.address]).put("k", "v").await.unwrap_err();
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Unknown, false));
}

#[tokio::test]
async fn given_idempotency_key_is_used() {
    let router = TestRouter::start(vec![Step::Answer(204, tag("01"), "")]).await;
    let name = IdempotencyKey::generate();
    client(&[&router.address]).put("k", Put::new("v").idempotency_key(name.clone())).await.unwrap();
    assert_eq!(router.seen()[0].headers["idempotency-key"], name.as_str());
}

#[tokio::test]
async fn scan_goes_on_after_the_last_key_when_the_stream_breaks_off() {
    let first = "{\"key\":\"a\",\"etag\":\"1\"}\n{\"key\":\"b\",\"etag\":\"2\"}\n{\"key\":\"c\",\"et";
    let rest = "{\"key\":\"b\",\"etag\":\"2\"}\n{\"key\":\"c\",\"etag\":\"3\"}\n";
    let router = TestRouter::start(vec![Step::Truncate(first), Step::Answer(200, vec![], rest)]).await;
    let mut scanner = client(&[&router.address]).scan(Listing::new());
    let mut keys = Vec::new();
    while let Some(item) = scanner.next().await.unwrap() {
        keys.push(item.key);
    }
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(router.seen()[1].target, "/v1/kv?start=b");
}

#[tokio::test]
async fn list_returns_items_and_the_cursor() {
    let body = r#"{"items":[{"key":"a","etag":"1","size":3}],"next":"c-1"}"#;
    let router = TestRouter::start(vec![Step::Answer(200, vec![], body)]).await;
    let page = client(&[&router.address]).list(&Listing::new().limit(1)).await.unwrap();
    assert_eq!((page.items[0].size, page.next.as_deref()), (Some(3), Some("c-1")));
}
