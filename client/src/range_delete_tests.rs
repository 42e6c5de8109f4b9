use crate::test_router::{Step, TestRouter};
use crate::{Client, Error, Listing, Outcome};

fn client(router: &TestRouter) -> Client {
    Client::builder().router(&router.address).deadline(std::time::Duration::from_secs(5)).build().unwrap()
}

fn answer(lines: &'static str) -> Step {
    Step::Answer(200, Vec::new(), lines)
}

#[tokio::test]
async fn deletion_that_breaks_off_goes_on_at_its_cursor_and_adds_up() {
    let router = TestRouter::start(vec![
        answer("{\"deleted\":5,\"next\":\"c1\"}\n"),
        answer("{\"deleted\":2,\"next\":\"c2\",\"code\":\"no_quorum\",\"detail\":\"x\"}\n"),
        answer("{\"deleted\":1,\"next\":null}\n"),
    ])
    .await;
    let deletion = client(&router).delete_range(Listing::new().prefix("a/"));
    assert_eq!(deletion.finish().await.unwrap(), 8);
    let seen = router.seen();
    let targets: Vec<&str> = seen.iter().map(|seen| seen.target.split("&timeout").next().unwrap()).collect();
    assert_eq!(
        targets,
        ["/v1/kv?prefix=a%2F", "/v1/kv?prefix=a%2F&cursor=c1", "/v1/kv?prefix=a%2F&cursor=c2"]
    );
    assert!(seen.iter().all(|seen| seen.method == "DELETE" && !seen.headers.contains_key("idempotency-key")));
}

#[tokio::test]
async fn deletion_that_cannot_go_on_says_what_is_deleted_and_claims_no_more() {
    let router =
        TestRouter::start(vec![answer("{\"deleted\":5,\"next\":\"c1\"}\n"), answer("not a line\n")]).await;
    let mut deletion = client(&router).delete_range(Listing::new().prefix("a/"));
    assert_eq!(deletion.next().await.unwrap(), Some(5));
    let error = deletion.next().await.unwrap_err();
    assert!(matches!(error, Error::BrokenOff { deleted: 5, .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn count_is_asked_with_the_range_alone() {
    let router = TestRouter::start(vec![answer("{\"count\":12}")]).await;
    let range = Listing::new().prefix("a").values(true).reverse(true).limit(3);
    assert_eq!(client(&router).count(&range).await.unwrap(), 12);
    assert!(router.seen()[0].target.starts_with("/v1/kv?prefix=a&count=true"), "{}", router.seen()[0].target);
}
