//! Two routers on the same keys at once: neither leads, and nothing is lost or done twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use roundtable_tests::{Answer, Call, Cluster, Http, Layout, idempotency_key};
use tokio::task::JoinSet;

async fn two_routers() -> (Cluster, [Http; 2]) {
    let cluster = Cluster::start_with(Layout { routers: 2, ..Layout::default() }).await;
    let routers = [cluster.router(1), cluster.router(2)];
    (cluster, routers)
}

/// Repeats a keyed request until its answer is definite: 503 was never applied, 504 asks to be repeated. `None` if
/// it stays unknown: so many other operations were recorded meanwhile that the key's history does not tell.
async fn settle(call: Call) -> Option<Answer> {
    for _ in 0..5 {
        let answer = call.clone().send().await;
        if answer.status != 503 && answer.status != 504 {
            return Some(answer);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn compare_and_set_never_lets_two_succeed_on_one_etag() {
    const CALLERS: usize = 16;
    const SUCCESSES: usize = 25;
    let (_cluster, routers) = two_routers().await;
    routers[0].put("a", "start").send().await.must_be(201);

    // Which value replaced which ETag.
    let winners: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let router = routers[caller % 2].clone();
        let winners = Arc::clone(&winners);
        callers.spawn(async move {
            let mut done = 0;
            while done < SUCCESSES {
                let seen = router.read("a").send().await.must_be(200).etag();
                let value = format!("{caller}-{done}");
                let key = idempotency_key();
                let Some(answer) = settle(router.put("a", value.clone()).if_match(&seen).keyed(&key)).await
                else {
                    continue;
                };
                if answer.status == 412 {
                    assert_ne!(answer.etag(), seen, "refused, so it has changed");
                    continue;
                }
                let answer = answer.must_be(204);
                assert!(answer.etag() > seen);
                let other = winners.lock().unwrap().insert(seen.clone(), value.clone());
                assert_eq!(other, None, "{value} and another both replaced {seen}");
                done += 1;
            }
        });
    }
    callers.join_all().await;
    assert_eq!(winners.lock().unwrap().len(), CALLERS * SUCCESSES);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_increments_each_repeated_at_once_add_up_exactly() {
    const INCREMENTS: i64 = 200;
    let (_cluster, routers) = two_routers().await;

    let mut callers = JoinSet::new();
    for number in 0..INCREMENTS {
        let key = idempotency_key();
        let [first, second] = if number % 2 == 0 { [0, 1] } else { [1, 0] }
            .map(|router: usize| routers[router].increment("n", 1).query("timeout", "30s").keyed(&key));
        callers.spawn(async move {
            let (first, second) = tokio::join!(first.send(), second.send());
            [first, second]
        });
    }
    let mut results = Vec::new();
    for pair in callers.join_all().await {
        let definite: Vec<_> = pair.iter().filter(|answer| answer.status == 200).collect();
        // One of a pair may be told that the history has moved on; never both, and never a second result.
        assert!(!definite.is_empty(), "{pair:?}");
        for answer in &pair {
            assert!(matches!(answer.status, 200 | 504), "{answer:?}");
        }
        assert!(definite.iter().all(|answer| answer.text() == definite[0].text()), "{pair:?}");
        results.push(definite[0].text().parse::<i64>().unwrap());
    }
    results.sort_unstable();
    assert_eq!(results, (1..=INCREMENTS).collect::<Vec<_>>());
    for router in &routers {
        assert_eq!(router.read("n").send().await.must_be(200).text(), INCREMENTS.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_through_one_router_is_read_through_the_other() {
    let (_cluster, [one, two]) = two_routers().await;
    for number in 0..100 {
        let (writer, reader) = if number % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let etag = writer.put("a", number.to_string()).send().await.etag();
        let read = reader.read("a").send().await.must_be(200);
        assert_eq!((read.text(), read.etag()), (number.to_string(), etag));
        writer.delete("gone").send().await;
        writer.put("gone", "x").send().await.must_be(201);
        writer.delete("gone").send().await.must_be(204);
        reader.read("gone").send().await.must_be(404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_of_two_routers_starves_on_a_hot_key() {
    const EACH: usize = 100;
    let (_cluster, routers) = two_routers().await;
    let mut callers = JoinSet::new();
    for caller in 0..8 {
        let router = routers[caller % 2].clone();
        callers.spawn(async move {
            for _ in 0..EACH {
                let answer = settle(router.increment("hot", 1).keyed(&idempotency_key())).await;
                answer.expect("eight callers leave the history room").must_be(200);
            }
        });
    }
    callers.join_all().await;
    assert_eq!(routers[0].read("hot").send().await.text(), (8 * EACH).to_string());
}
