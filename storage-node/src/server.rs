//! The HTTP server: connections in, answers out, and an orderly end.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use roundtable_common::serve::{Acceptor, ConnectionSettings, Open, Stage, serve_connection};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::handlers::{self, Answer};
use crate::lane;
use crate::node::Node;

/// The most that one connection buffers; longer heads are refused. Bodies are read in pieces of this size at most.
const BUFFER_BYTES_MAX: usize = 400 << 10;

/// Serves until `stop` comes true, then lets requests under way end within the drain time.
///
/// Returns how many connections were cut off at the end of it.
pub(crate) async fn serve(node: Arc<Node>, mut acceptor: Acceptor, stop: impl Future<Output = ()>) -> usize {
    let places = Arc::new(Semaphore::new(node.limits.connections_max));
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            stream = acceptor.accept() => take(&node, &places, stream),
        }
    }
    for stream in acceptor.close() {
        take(&node, &places, stream);
    }
    node.stop.advance(Stage::Stopping);
    let left = || node.limits.connections_max - places.available_permits();
    tracing::info!(connections = left(), "listening stopped, requests under way are finished");
    match timeout(node.limits.drain_timeout, node.stop.ended()).await {
        Ok(()) => 0,
        Err(_) => left(),
    }
}

/// Has a new connection served, or closes it if there are too many.
fn take(node: &Arc<Node>, places: &Arc<Semaphore>, stream: TcpStream) {
    match Arc::clone(places).try_acquire_owned() {
        Ok(place) => {
            tokio::spawn(sort_connection(Arc::clone(node), stream, place, node.stop.open()));
        }
        Err(_) => {
            node.metrics.connections_refused.inc();
        }
    }
}

/// Finds out on which thread a connection is to be served, and has it served there.
async fn sort_connection(node: Arc<Node>, stream: TcpStream, place: OwnedSemaphorePermit, open: Open) {
    if !lane::is_durable(&stream).await {
        return serve_on(node, stream, place, open).await;
    }
    let committing = node.pipeline.committing().clone();
    match lane::hand_over(stream, &committing) {
        Ok(stream) => {
            committing.spawn(serve_on(node, stream, place, open));
        }
        Err(error) => tracing::warn!(%error, "a connection was lost between two threads"),
    }
}

async fn serve_on(node: Arc<Node>, stream: TcpStream, place: OwnedSemaphorePermit, open: Open) {
    let settings = ConnectionSettings {
        idle_timeout: node.limits.idle_timeout,
        buffer_bytes_max: BUFFER_BYTES_MAX,
        half_close: false,
    };
    let handle = |request| {
        let node = Arc::clone(&node);
        async move { answer(&node, request).await }
    };
    let gauge = &node.metrics.connections;
    gauge.inc();
    serve_connection(stream, settings, &node.stop, open, handlers::bare, handle).await;
    gauge.dec();
    drop(place);
}

async fn answer(node: &Arc<Node>, request: Request<Incoming>) -> Answer {
    let endpoint = Endpoint::parse(request.method(), request.uri().path());
    match endpoint {
        Endpoint::Batch => handlers::batch(node, request.into_body()).await,
        Endpoint::Scan => handlers::scan(node, request.into_body()).await,
        Endpoint::Hello => Ok(handlers::hello(node)),
        Endpoint::Live => Ok(handlers::live()),
        Endpoint::Ready => Ok(handlers::ready(node)),
        Endpoint::Metrics => handlers::metrics(node).await,
        Endpoint::WrongMethod { allowed } => Ok(handlers::wrong_method(allowed)),
        Endpoint::Unknown => Ok(handlers::unknown()),
    }
}
