use std::time::Duration;

use roundtable_common::settings::Settings;
use roundtable_common::wire::Target;
use roundtable_consensus::{ClusterId, Epoch, Lane, StorageId};

use super::*;
use crate::config::{Config, VARIABLE_PREFIX};
use crate::flags::Flags;
use crate::links::NodeClient;

/// One coordinator and three nodes, none of which is asked by anybody: what is sent waits in the links.
fn engine() -> Engine {
    let settings = Settings::parse("", VARIABLE_PREFIX, Flags::default().into_overrides());
    let config = Config::new(settings).unwrap();
    let link = |number: u16| {
        let target = Target {
            cluster: ClusterId(1),
            node: format!("n{number}").parse().unwrap(),
            storage: StorageId(number.into()),
            epoch: Epoch(1),
        };
        let client = NodeClient::new("127.0.0.1:1".parse().unwrap(), config.link.connect_timeout);
        Arc::new(Link::new(NodeIndex(number), target, client, config.link, 1))
    };
    let links = (0..3).map(link).collect();
    Engine::new(Clock::start(), &config.coordinator, &[1], links, Arc::new(Metrics::new()))
}

/// A coordinator passed a node over for as long as it stayed up, because news of its loss came behind that of its return.
#[tokio::test]
async fn change_of_health_that_another_has_overtaken_counts_for_nothing() {
    let engine = engine();
    for link in engine.links() {
        let up = link.health().probe_answered(0, Ok(()));
        engine.on_reach(link, up);
    }
    let first = &engine.links()[0];
    let (batch, _) = first.health().batch_sent(1, Lane::Quick);
    let lost = first.health().batch_lost(1, batch, "reset".to_owned());
    let back = first.health().probe_answered(2, Ok(()));
    assert_eq!((lost, back), (Some(Reach::Doubtful), Some(Reach::Usable)));
    engine.on_reach(first, back);
    engine.on_reach(first, lost);

    let replicas = ReplicaSet::single((0..3).map(NodeIndex).collect());
    let key = Key::new("k").unwrap();
    let read = engine.submit(key, PartitionId(0), Arc::new(replicas), Task::Read, u64::MAX);
    assert!(tokio::time::timeout(Duration::ZERO, read).await.is_err(), "nobody answers");
    assert_eq!(engine.links().iter().map(|link| link.queued()).collect::<Vec<_>>(), [1, 1, 0]);
}
