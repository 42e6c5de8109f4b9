//! Probes one node in the background, and notices when its answers are overdue.

use std::sync::Arc;

use bytes::Bytes;
use roundtable_common::wire::{HELLO_PATH, Target, decode_hello};
use roundtable_consensus::Hello;
use tokio::time::sleep_until;

use crate::engine::Engine;
use crate::links::connection::LinkError;
use crate::links::link::Link;

/// Runs until the task is dropped.
pub async fn watch(engine: Arc<Engine>, link: Arc<Link>) {
    loop {
        engine.tick_health(&link);
        let is_due = link.health().start_probe(engine.clock().mono_us());
        if is_due {
            let answer = link.client.ask(&hello_path(&link.target), None, link.config.probe_timeout).await;
            conclude(&engine, &link, answer);
            continue;
        }
        let next_us = link.health().next_timer_us();
        match next_us {
            Some(at_us) => tokio::select! {
                () = sleep_until(engine.clock().instant(at_us)) => {}
                () = link.monitor_woken() => {}
            },
            None => link.monitor_woken().await,
        }
    }
}

fn conclude(engine: &Engine, link: &Arc<Link>, answer: Result<Bytes, LinkError>) {
    let hello = answer.and_then(|body| Ok(decode_hello(body)?));
    let now_us = engine.clock().mono_us();
    let reach = match hello {
        Ok(hello) => {
            engine.observe_clock(link, hello.node_ms);
            let verdict = verdict(&link.target, &hello);
            link.note_shortage(hello.shortage);
            link.health().probe_answered(now_us, verdict)
        }
        Err(error) => link.health().probe_failed(now_us, error.to_string()),
    };
    engine.on_reach(link, reach);
}

/// The path that asks whether this very node is there.
pub(crate) fn hello_path(target: &Target) -> String {
    format!("{HELLO_PATH}?node={}", target.node)
}

/// Whether who answered is who was meant, and votes.
///
/// # Errors
/// Why requests should not go there, in words.
pub fn verdict(target: &Target, hello: &Hello) -> Result<(), String> {
    if hello.node != target.node {
        return Err(format!(
            "another node answers at this address: it is {}, not {}",
            hello.node, target.node
        ));
    }
    // Before the directory: a node of another cluster has another one too, and nothing wrong with its disk.
    if let Some(adopted) = hello.adopted.as_ref().filter(|adopted| adopted.cluster != target.cluster) {
        return Err(format!("it belongs to another cluster: {}, not {}", adopted.cluster, target.cluster));
    }
    if hello.storage != target.storage {
        return Err(format!(
            "its data directory is {}, not {} as configured: its disk was lost or swapped; give it a new id",
            hello.storage, target.storage
        ));
    }
    match &hello.adopted {
        Some(adopted) if adopted.configuration.epoch != target.epoch => {
            Err(format!("it has adopted configuration {}, not {}", adopted.configuration.epoch, target.epoch))
        }
        None => Err(format!("it has not adopted a configuration: {}", hello.reason)),
        Some(_) if hello.ready => Ok(()),
        Some(_) => Err(format!("it is not ready: {}", hello.reason)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use roundtable_consensus::{Adopted, Configuration, Epoch, Member, StorageId};

    use super::*;

    fn adopted() -> Adopted {
        let node = |id: &str| Member {
            id: id.parse().unwrap(),
            address: format!("{id}.example:1"),
            zone: None,
            weight: 1,
        };
        let configuration =
            Configuration { epoch: Epoch(1), replication_factor: 1, partitions: 4, nodes: vec![node("n1")] };
        Adopted::first(configuration, BTreeMap::from([("n1".parse().unwrap(), StorageId(5))]))
    }

    #[test]
    fn only_the_very_node_that_votes_is_usable() {
        let adopted = adopted();
        let target = Target {
            cluster: adopted.cluster,
            node: "n1".parse().unwrap(),
            storage: StorageId(5),
            epoch: Epoch(1),
        };
        let good = Hello {
            node: "n1".parse().unwrap(),
            storage: StorageId(5),
            file_epoch: Epoch(1),
            file_digest: adopted.configuration.digest(),
            bound: Some(adopted.cluster),
            adopted: Some(adopted.clone()),
            node_ms: 0,
            ready: true,
            reason: String::new(),
            shortage: None,
        };
        assert_eq!(verdict(&target, &good), Ok(()));
        let mut other_cluster = adopted.clone();
        other_cluster.cluster.0 ^= 1;
        let mut other_epoch = adopted;
        other_epoch.configuration.epoch = Epoch(2);
        let table = [
            (Hello { node: "n2".parse().unwrap(), ..good.clone() }, "another node"),
            (Hello { storage: StorageId(6), ..good.clone() }, "lost or swapped"),
            (Hello { adopted: Some(other_cluster.clone()), ..good.clone() }, "another cluster"),
            (
                Hello { adopted: Some(other_cluster), storage: StorageId(6), ..good.clone() },
                "another cluster",
            ),
            (Hello { adopted: Some(other_epoch), ..good.clone() }, "e2"),
            (Hello { adopted: None, reason: "waits for n3".to_owned(), ..good.clone() }, "waits for n3"),
            (Hello { ready: false, reason: "its clock".to_owned(), ..good }, "its clock"),
        ];
        for (hello, part) in table {
            let found = verdict(&target, &hello).unwrap_err();
            assert!(found.contains(part), "{found}");
        }
    }
}
