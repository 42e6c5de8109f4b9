//! `Idempotency-Key`: a repeat changes nothing and gets the first one's answer, through any router.

use std::time::{Duration, SystemTime};

use roundtable_tests::{Call, Cluster, Http, Layout, idempotency_key, idempotency_key_made};
use tokio::task::JoinSet;

/// Sends the same request twice, the second time elsewhere, and requires equal answers.
async fn twice(call: impl Fn(&Http) -> Call, first: &Http, second: &Http, status: u16) {
    let once = call(first).send().await.must_be(status);
    let again = call(second).send().await.must_be(status);
    assert_eq!(once.text_without_ids(), again.text_without_ids());
    assert_eq!(once.header("etag"), again.header("etag"));
}

async fn two_routers() -> (Cluster, Http, Http) {
    let cluster = Cluster::start_with(Layout { routers: 2, ..Layout::default() }).await;
    let (one, two) = (cluster.router(1), cluster.router(2));
    (cluster, one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_of_a_success_gets_the_first_answer_through_any_router() {
    let (_cluster, one, two) = two_routers().await;

    let put = idempotency_key();
    twice(|router| router.put("a", "one").if_none_match("*").keyed(&put), &one, &two, 201).await;
    let increment = idempotency_key();
    twice(|router| router.increment("n", 5).keyed(&increment), &one, &two, 200).await;
    assert_eq!(one.read("n").send().await.text(), "5");
    let delete = idempotency_key();
    twice(|router| router.delete("n").keyed(&delete), &two, &one, 204).await;

    // Still true after others have changed the key.
    let second = idempotency_key();
    twice(|router| router.put("a", "two").keyed(&second), &one, &two, 204).await;
    let third = one.put("a", "three").send().await.must_be(204).etag();
    twice(|router| router.put("a", "two").keyed(&second), &two, &one, 204).await;
    let read = two.read("a").send().await;
    assert_eq!((read.text().as_str(), read.etag()), ("three", third));
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_of_a_refusal_is_refused_even_if_it_would_hold_by_now() {
    let (_cluster, one, two) = two_routers().await;

    let replace = idempotency_key();
    let delete = idempotency_key();
    let touch = idempotency_key();
    one.put("a", "lost").if_match("*").keyed(&replace).send().await.must_be(412);
    one.delete("a").keyed(&delete).send().await.must_be(404);
    one.touch("a", "1h").keyed(&touch).send().await.must_be(404);

    let etag = two.put("a", "kept").send().await.must_be(201).etag();
    two.put("a", "lost").if_match("*").keyed(&replace).send().await.must_be(412);
    two.delete("a").keyed(&delete).send().await.must_be(404);
    two.touch("a", "1h").keyed(&touch).send().await.must_be(404);
    assert_eq!(one.read("a").send().await.must_be(200).etag(), etag);

    let increment = idempotency_key();
    one.increment("a", 1).keyed(&increment).send().await.must_be(409);
    two.put("a", "1").send().await.must_be(204);
    two.increment("a", 1).keyed(&increment).send().await.must_refuse(409, "not_a_counter");
    assert_eq!(one.read("a").send().await.text(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_while_the_first_is_under_way_takes_effect_once() {
    let (_cluster, one, two) = two_routers().await;
    for round in 1..=50_i64 {
        let key = idempotency_key();
        let first = tokio::spawn(one.increment("n", 1).keyed(&key).send());
        let second = tokio::spawn(two.increment("n", 1).keyed(&key).send());
        let (first, second) = (first.await.unwrap().must_be(200), second.await.unwrap().must_be(200));
        assert_eq!((first.text(), first.etag()), (second.text(), second.etag()));
        assert_eq!(first.text(), round.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_with_another_request_is_refused() {
    let (_cluster, one, two) = two_routers().await;
    let key = idempotency_key();
    one.put("a", "one").keyed(&key).send().await.must_be(201);
    two.put("a", "other").keyed(&key).send().await.must_refuse(422, "idempotency_key_reused");
    two.delete("a").keyed(&key).send().await.must_refuse(422, "idempotency_key_reused");
    two.put("a", "one").if_match("*").keyed(&key).send().await.must_refuse(422, "idempotency_key_reused");
    two.put("a", "one")
        .query("ttl", "1h")
        .keyed(&key)
        .send()
        .await
        .must_refuse(422, "idempotency_key_reused");
    assert_eq!(one.read("a").send().await.text(), "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_after_the_history_forgot_is_unknown_and_never_applied() {
    let (_cluster, one, two) = two_routers().await;
    let first = idempotency_key();
    one.increment("n", 1).keyed(&first).send().await.must_be(200);
    for _ in 0..70 {
        let mut together = JoinSet::new();
        for _ in 0..16 {
            together.spawn(one.increment("n", 1).keyed(&idempotency_key()).send());
        }
        together.join_all().await.into_iter().for_each(|answer| drop(answer.must_be(200)));
    }
    let last = idempotency_key();
    one.increment("n", 1).keyed(&last).send().await.must_be(200);

    let forgotten = two.increment("n", 1).keyed(&first).send().await.must_be(504);
    let problem = forgotten.problem();
    assert_eq!(
        (problem["code"].as_str(), problem["outcome"].as_str()),
        (Some("outcome_unknown"), Some("unknown"))
    );
    let remembered = two.increment("n", 1).keyed(&last).send().await.must_be(200);
    assert_eq!(remembered.text(), "1122");
    assert_eq!(two.read("n").send().await.text(), "1122");
}

#[tokio::test(flavor = "multi_thread")]
async fn ulid_serves_as_well_as_a_uuid() {
    let (_cluster, one, two) = two_routers().await;
    let key = ulid::Ulid::from_parts(roundtable_tests::now_ms(), 7).to_string();
    twice(|router| router.increment("n", 1).keyed(&key), &one, &two, 200).await;
    twice(|router| router.increment("n", 1).keyed(&key.to_lowercase()), &one, &two, 200).await;
    assert_eq!(one.read("n").send().await.text(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_is_no_idempotency_key_is_refused() {
    let (_cluster, one, _two) = two_routers().await;
    let ahead = idempotency_key_made(SystemTime::now() + Duration::from_secs(10));
    let version_4 = uuid::Uuid::new_v4().to_string();
    let too_long = format!("{}0", idempotency_key());
    let doubled = format!("{0}, {0}", idempotency_key());
    for bad in [
        "",
        "1",
        "my-key",
        &version_4,
        &too_long,
        &doubled,
        &ahead,
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",
        &"é".repeat(18),
    ] {
        let problem =
            one.increment("n", 1).keyed(bad).send().await.must_refuse(400, "bad_idempotency_key").problem();
        assert_eq!(problem["retryable"], false, "{problem}");
    }
    one.read("n").send().await.must_be(404);

    // A clock that runs a little ahead is no mistake.
    let little = idempotency_key_made(SystemTime::now() + Duration::from_millis(300));
    one.increment("n", 1).keyed(&little).send().await.must_be(200);
}
