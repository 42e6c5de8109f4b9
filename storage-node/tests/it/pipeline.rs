//! The threads, with a real store under them.

use std::sync::Arc;

use roundtable_consensus::{
    Ballot, Hlc, Register, Rejection, ReplicaConfig, Reply, ReplyBody, Request, RequestBody,
};
use roundtable_node::Durability;
use roundtable_node::budget::Budget;
use roundtable_node::disk_watch::DiskWatch;
use roundtable_node::fault::Fault;
use roundtable_node::metrics::Metrics;
use roundtable_node::pipeline::{Pipeline, PipelineConfig};
use roundtable_node::store::{Store, StoreOptions};

use crate::support::{accept, key, next_ballot, open, register, request, tombstone, value_of};

fn config() -> PipelineConfig {
    PipelineConfig {
        shards: 3,
        queue_batches_max: 64,
        durability: Durability::Sync,
        log_bytes_max: 1 << 30,
        replica: ReplicaConfig::STANDARD,
    }
}

fn start_with(
    store: &Arc<Store>,
    config: &PipelineConfig,
    free_bytes_min: u64,
    budget_bytes: usize,
) -> Pipeline {
    let disk = Arc::new(DiskWatch::new(store.path(), free_bytes_min).unwrap());
    let (fault, _) = Fault::new();
    let budget = Budget::new(budget_bytes);
    Pipeline::start(store, config, &disk, &budget, &Arc::new(Metrics::new()), &fault).unwrap()
}

fn start(store: &Arc<Store>) -> Pipeline {
    start_with(store, &config(), 0, 256 << 20)
}

async fn ask(pipeline: &Pipeline, requests: Vec<Request>) -> Vec<Reply> {
    pipeline.submit(requests, |_| None).replies().await.unwrap().0
}

async fn ask_one(pipeline: &Pipeline, text: &str, body: RequestBody) -> ReplyBody {
    ask(pipeline, vec![request(1, &key(text), body)]).await.remove(0).body
}

const READ: RequestBody = RequestBody::Read { want_value: true };

#[tokio::test]
async fn pipeline_replies_keep_the_order_of_the_requests() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let pipeline = start(&store);
    let requests: Vec<Request> = (0..500)
        .map(|id| request(id, &key(&format!("k{id}")), accept(register(next_ballot(), "v"))))
        .collect();
    let replies = ask(&pipeline, requests).await;
    assert_eq!(replies.iter().map(|reply| reply.id).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    assert!(replies.iter().all(|reply| reply.body == ReplyBody::Accepted { next_promised: false }));
    assert_eq!(store.log_bounds().entries(), 500, "one log entry for each register, over all shards");
    pipeline.stop();
}

#[tokio::test]
async fn prepare_tells_the_register_and_withholds_the_value_unless_asked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let pipeline = start(&store);
    for (text, value_bytes) in [("short", 10), ("long", 50_000)] {
        let written = register(next_ballot(), vec![b'v'; value_bytes]);
        ask_one(&pipeline, text, accept(written.clone())).await;
        for want_value in [false, true] {
            let prepare = RequestBody::Prepare { ballot: next_ballot(), want_value, grows: true };
            let told = if want_value { written.clone() } else { written.without_value() };
            assert_eq!(ask_one(&pipeline, text, prepare).await, ReplyBody::Promised(told));
        }
        let fetched = ask_one(&pipeline, text, RequestBody::Fetch { accepted: written.accepted }).await;
        assert_eq!(fetched, ReplyBody::Fetched(Some(written)));
        let other = ask_one(&pipeline, text, RequestBody::Fetch { accepted: next_ballot() }).await;
        assert_eq!(other, ReplyBody::Fetched(None));
    }
    pipeline.stop();
}

#[tokio::test]
async fn one_batch_on_one_key_is_handled_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let pipeline = start(&store);
    let ballots: Vec<Ballot> = (0..4).map(|_| next_ballot()).collect();
    let key = key("k");
    let bodies = [
        READ,
        accept(register(ballots[0], vec![1; 9000])),
        READ,
        RequestBody::Prepare { ballot: ballots[2], want_value: true, grows: false },
        accept(register(ballots[1], "late")),
        accept(register(ballots[3], "new")),
        READ,
    ];
    let requests = (0..).zip(bodies).map(|(id, body)| request(id, &key, body)).collect();
    let replies: Vec<ReplyBody> =
        ask(&pipeline, requests).await.into_iter().map(|reply| reply.body).collect();
    let ReplyBody::State(before) = &replies[0] else { panic!("{replies:?}") };
    assert!(before.is_absent());
    let ReplyBody::State(first) = &replies[2] else { panic!("{replies:?}") };
    assert_eq!(value_of(first), [1; 9000]);
    assert!(matches!(&replies[3], ReplyBody::Promised(found) if found == first));
    assert_eq!(replies[4], ReplyBody::Rejected(Rejection::Outbid(ballots[2])));
    let ReplyBody::State(last) = &replies[6] else { panic!("{replies:?}") };
    assert_eq!(value_of(last), b"new");
    pipeline.stop();
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart_with_other_shards() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected: Vec<(String, Register)> = Vec::new();
    for shards in [1, 5, 2] {
        let store = Arc::new(open(dir.path()));
        let pipeline = start_with(&store, &PipelineConfig { shards, ..config() }, 0, 256 << 20);
        let promised = store.horizon().unwrap();
        for (text, written) in &expected {
            assert_eq!(ask_one(&pipeline, text, READ).await, ReplyBody::State(written.clone()));
        }
        for number in 0..20 {
            let (text, value_bytes) = (format!("{shards}/{number}"), if number % 2 == 0 { 5 } else { 6000 });
            // Above the horizon of the run before, which every key counts as promised to.
            let ballot = next_ballot().max(promised);
            let written =
                register(Ballot { proposer: next_ballot().proposer, ..ballot }, vec![b'v'; value_bytes]);
            let reply = ask_one(&pipeline, &text, accept(written.clone())).await;
            assert_eq!(reply, ReplyBody::Accepted { next_promised: false }, "{text}");
            expected.push((text, written));
        }
        pipeline.stop();
    }
}

#[tokio::test]
async fn registers_on_the_disk_alone_are_decided_on_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let pipeline = start(&store);
    let written: Vec<(String, Register)> = (0..200)
        .map(|number| {
            let value_bytes = if number % 2 == 0 { 500 } else { 9_000 };
            (format!("k{number}"), register(next_ballot(), vec![number; value_bytes]))
        })
        .collect();
    for (text, register) in &written {
        ask_one(&pipeline, text, accept(register.clone())).await;
    }
    pipeline.stop();
    store.flush().unwrap();
    drop((pipeline, store));
    let options = StoreOptions { block_cache_bytes: 64 << 10, ..crate::support::store_options() };
    let store = Arc::new(Store::open(dir.path(), &options).unwrap());
    let pipeline = start(&store);
    let horizon = store.horizon().unwrap();
    let ballot = Ballot { hlc: Hlc(horizon.hlc.0 + 1), ..next_ballot() };
    // Some of one batch in memory, some not, some needing a value from apart.
    for group in written.chunks(20) {
        let requests = (0..).zip(group).map(|(id, (text, register))| {
            let body = match id % 3 {
                0 => READ,
                1 => RequestBody::Prepare { ballot, want_value: true, grows: true },
                _ => RequestBody::Fetch { accepted: register.accepted },
            };
            request(id, &key(text), body)
        });
        for (reply, (text, register)) in ask(&pipeline, requests.collect()).await.into_iter().zip(group) {
            let (ReplyBody::State(found) | ReplyBody::Promised(found) | ReplyBody::Fetched(Some(found))) =
                &reply.body
            else {
                panic!("{text}: {reply:?}")
            };
            assert_eq!(found, register, "{text}");
        }
    }
    pipeline.stop();
}

#[tokio::test]
async fn horizon_is_durable_before_a_promise_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let pipeline = start(&store);
    let ballot = next_ballot();
    let prepare = RequestBody::Prepare { ballot, want_value: false, grows: true };
    assert!(matches!(ask_one(&pipeline, "k", prepare).await, ReplyBody::Promised(_)));
    // What is durable is in the journal, and in the database when somebody asks for it.
    store.apply().unwrap();
    assert!(store.horizon().unwrap() > ballot);
    pipeline.stop();
}

#[tokio::test]
async fn full_queues_refuse_and_do_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let pipeline =
        start_with(&store, &PipelineConfig { shards: 1, queue_batches_max: 1, ..config() }, 0, 256 << 20);
    let mut under_way = Vec::new();
    // Without waiting for any: sooner or later the queue in front of the disk is full.
    for number in 0..5000 {
        let text = format!("k{number}");
        let submitted = pipeline.submit(
            vec![request(number, &key(&text), accept(register(next_ballot(), vec![7; 4000])))],
            |_| None,
        );
        under_way.push((text, submitted));
    }
    let mut refused = Vec::new();
    for (text, submitted) in under_way {
        let (replies, _) = submitted.replies().await.unwrap();
        match &replies[0].body {
            ReplyBody::Rejected(Rejection::Overloaded) => refused.push(text),
            answered => assert_eq!(answered, &ReplyBody::Accepted { next_promised: false }),
        }
    }
    assert!(!refused.is_empty());
    for text in refused {
        let ReplyBody::State(found) = ask_one(&pipeline, &text, READ).await else { panic!("no state") };
        assert!(found.is_absent(), "{text} was refused and is there");
    }
    pipeline.stop();
}

#[tokio::test]
async fn values_beyond_the_memory_budget_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let pipeline = start_with(&store, &config(), 0, 64 << 10);
    ask_one(&pipeline, "k", accept(register(next_ballot(), vec![1; 100_000]))).await;
    // The register leaves memory when the database has it; from then on its value must be read.
    store.apply().unwrap();
    pipeline.tick();
    assert_eq!(ask_one(&pipeline, "k", READ).await, ReplyBody::Rejected(Rejection::Overloaded));
    assert!(matches!(
        ask_one(&pipeline, "k", RequestBody::Read { want_value: false }).await,
        ReplyBody::State(_)
    ));
    pipeline.stop();
}

#[tokio::test]
async fn disk_below_its_reserve_refuses_what_grows_and_takes_what_shrinks() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let before = start(&store);
    ask_one(&before, "k", accept(register(next_ballot(), "value"))).await;
    before.stop();
    let pipeline = start_with(&store, &config(), u64::MAX, 256 << 20);
    let above = |step: u64| {
        let horizon = store.horizon().unwrap();
        Ballot { hlc: roundtable_consensus::Hlc(horizon.hlc.0 + step), ..next_ballot() }
    };
    let prepare =
        |grows: bool| RequestBody::Prepare { ballot: above(1 + u64::from(!grows)), want_value: false, grows };
    assert_eq!(ask_one(&pipeline, "k", prepare(true)).await, ReplyBody::Rejected(Rejection::DiskReserve));
    assert!(matches!(ask_one(&pipeline, "k", prepare(false)).await, ReplyBody::Promised(_)));
    let grown = accept(register(above(10), "a longer value"));
    assert_eq!(ask_one(&pipeline, "k", grown).await, ReplyBody::Rejected(Rejection::DiskReserve));
    assert!(matches!(ask_one(&pipeline, "k", READ).await, ReplyBody::State(_)));
    let deleted = accept(tombstone(above(20)));
    assert!(matches!(ask_one(&pipeline, "k", deleted).await, ReplyBody::Accepted { .. }));
    pipeline.stop();
}

#[tokio::test]
async fn log_beyond_its_limit_is_cut_while_writing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let log_bytes_max = 10_000;
    let pipeline = start_with(&store, &PipelineConfig { log_bytes_max, ..config() }, 0, 256 << 20);
    for round in 0..20 {
        let requests = (0..50)
            .map(|id| request(id, &key(&format!("{round}/{id}")), accept(register(next_ballot(), "v"))));
        ask(&pipeline, requests.collect()).await;
    }
    pipeline.stop();
    let bounds = store.log_bounds();
    assert_eq!(bounds.next_seq, 1001);
    assert!(bounds.bytes() <= log_bytes_max && bounds.first_seq > 1, "{bounds:?}");
}

#[tokio::test]
async fn interval_durability_answers_before_the_sync_and_keeps_everything_at_an_orderly_end() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        roundtable_node::store::StoreOptions { sync_each_commit: false, ..crate::support::store_options() };
    let store = Arc::new(Store::open(dir.path(), &options).unwrap());
    let durability = Durability::Interval(std::time::Duration::from_millis(5));
    let pipeline = start_with(&store, &PipelineConfig { durability, ..config() }, 0, 256 << 20);
    let written = register(next_ballot(), "v");
    assert!(matches!(ask_one(&pipeline, "k", accept(written.clone())).await, ReplyBody::Accepted { .. }));
    pipeline.stop();
    drop((pipeline, store));
    let store = Arc::new(open(dir.path()));
    let pipeline = start(&store);
    assert_eq!(ask_one(&pipeline, "k", READ).await, ReplyBody::State(written));
    pipeline.stop();
}
