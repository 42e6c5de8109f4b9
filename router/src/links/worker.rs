//! Carries one lane's batches to a node, one at a time per worker; a lane has `depth` workers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use roundtable_common::wire::{BATCH_PATH, DURABLE_BATCH_PATH, Refused, decode_replies, encode_requests};
use roundtable_consensus::{Lane, Reply};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

use crate::engine::{Engine, SentRequest};
use crate::links::connection::{Connection, LinkError};
use crate::links::link::{Link, LinkItem};

/// What came of a batch.
enum Carried {
    /// Replies in the order of the requests, and the node's time.
    Answered { node_ms: u64, replies: Vec<Reply> },
    /// The node did nothing of it.
    Refused(Refused),
    /// Nobody knows what the node did.
    Lost(LinkError),
}

/// Runs until the task is dropped: takes a batch, carries it, and hands every reply or loss to its coordinator
/// before it takes the next, so that what the replies set going leaves with it.
pub async fn run_lane(engine: Arc<Engine>, link: Arc<Link>, lane: Lane) {
    let mut connection = None;
    loop {
        let items = next_batch(&engine, &link, lane, &mut connection).await;
        let started_us = engine.clock().mono_us();
        let (batch, suspect_at_us) = link.health().batch_sent(started_us, lane);
        let sent: Vec<SentRequest> = items.iter().map(|item| (item.shard, item.request.id)).collect();
        let requests: Vec<_> = items.into_iter().map(|item| item.request).collect();
        let body = encode_requests(&link.target, &requests);
        drop(requests);
        let carried = carry(&engine, &link, lane, &mut connection, body, suspect_at_us).await;
        link.returned(lane);
        let now_us = engine.clock().mono_us();
        engine.metrics().observe_batch(lane, sent.len(), now_us.saturating_sub(started_us));
        match carried {
            Carried::Answered { node_ms, replies } => {
                let reach = link.health().batch_answered(now_us, batch);
                link.note_clock(node_ms, engine.clock().now().wall_ms);
                engine.on_reach(&link, reach);
                engine.on_replies(link.node, node_ms, &sent, replies);
            }
            // A full queue says nothing about the node's health.
            Carried::Refused(Refused::Overloaded) => {
                let reach = link.health().batch_answered(now_us, batch);
                engine.on_reach(&link, reach);
                engine.on_lost(&link, &sent);
            }
            Carried::Refused(refused) => {
                let reach = link.health().batch_refused(now_us, batch, refused.to_string());
                link.wake_monitor();
                engine.on_reach(&link, reach);
                engine.on_lost(&link, &sent);
                engine.give_up_queues(&link);
            }
            Carried::Lost(error) => {
                debug!(node_id = %link.target.node, requests = sent.len(), %error, "batch lost");
                connection = None;
                let reach = link.health().batch_lost(now_us, batch, error.to_string());
                link.wake_monitor();
                engine.on_reach(&link, reach);
                engine.on_lost(&link, &sent);
                engine.give_up_queues(&link);
            }
        }
    }
}

/// Waits for a batch; meanwhile notices when the idle connection ends, so that no batch is lost over a stale one, and a
/// node that has ended is found out before anything waits for it.
///
/// Before it takes one it lets all tasks run that are ready: what they send leaves together. That costs no time where
/// nothing is ready, and makes whole batches of what would leave one by one.
async fn next_batch(
    engine: &Engine,
    link: &Link,
    lane: Lane,
    connection: &mut Option<Connection>,
) -> Vec<LinkItem> {
    loop {
        yield_now().await;
        if let Some(batch) = link.take(lane) {
            return batch;
        }
        match connection {
            Some(open) => tokio::select! {
                () = link.filled(lane) => {}
                () = open.closed() => {
                    *connection = None;
                    link.health().connection_closed(engine.clock().mono_us());
                    link.wake_monitor();
                }
            },
            None => link.filled(lane).await,
        }
    }
}

/// Sends the body and waits for the answer: at `suspect_at_us` the node is suspected, and the answer still awaited.
async fn carry(
    engine: &Engine,
    link: &Arc<Link>,
    lane: Lane,
    connection: &mut Option<Connection>,
    body: Bytes,
    suspect_at_us: u64,
) -> Carried {
    let lost_at = Instant::now() + link.config.batch_timeout;
    let exchange = exchange(link, lane, connection, body);
    let mut exchange = std::pin::pin!(exchange);
    let result = tokio::select! {
        biased;
        result = &mut exchange => result,
        () = sleep_until(engine.clock().instant(suspect_at_us)) => {
            engine.tick_health(link);
            match timeout_at(lost_at, exchange).await {
                Ok(result) => result,
                Err(_) => Err(LinkError::Timeout(link.config.batch_timeout)),
            }
        }
    };
    match result.and_then(|answer| Ok(decode_replies(answer)?)) {
        Ok(batch) => match batch.from_target(&link.target) {
            Ok((node_ms, replies)) => Carried::Answered { node_ms, replies },
            Err(refused) => Carried::Refused(refused),
        },
        Err(error) => Carried::Lost(error),
    }
}

async fn exchange(
    link: &Link,
    lane: Lane,
    connection: &mut Option<Connection>,
    body: Bytes,
) -> Result<Bytes, LinkError> {
    let open = match connection.take().filter(Connection::is_open) {
        Some(open) => open,
        None => Connection::open(link.client.address(), connect_timeout(link)).await?,
    };
    let open = connection.insert(open);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = hyper::Uri::from_static(match lane {
        Lane::Quick => BATCH_PATH,
        Lane::Durable => DURABLE_BATCH_PATH,
    });
    open.exchange(request).await
}

/// A connection is awaited no longer than the batch itself.
fn connect_timeout(link: &Link) -> Duration {
    link.config.connect_timeout.min(link.config.batch_timeout)
}
