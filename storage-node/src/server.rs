//! The HTTP server: connections in, answers out, and an orderly end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::endpoint::Endpoint;
use crate::handlers::{self, Answer};
use crate::lane;
use crate::node::Node;

/// How long the server waits before it accepts again when the system is out of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop` comes true, then lets requests under way end within the drain time.
///
/// Returns how many connections were cut off at the end of it.
pub(crate) async fn serve(node: Arc<Node>, listener: TcpListener, stop: impl Future<Output = ()>) -> usize {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(node.limits.connections_max));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    tokio::spawn(sort_connection(Arc::clone(&node), stream, place, graceful.watcher()));
                }
                Err(_) => {
                    node.metrics.connections_refused.inc();
                }
            },
            Err(error) => pause_after(&error).await,
        }
    }
    drop(listener);
    node.begin_stop();
    let left = graceful.count();
    tracing::info!(connections = left, "listening stopped, requests under way are finished");
    match timeout(node.limits.drain_timeout, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => node.limits.connections_max - places.available_permits(),
    }
}

/// Finds out on which thread a connection is to be served, and has it served there.
async fn sort_connection(node: Arc<Node>, stream: TcpStream, place: OwnedSemaphorePermit, watcher: Watcher) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot turn off delayed sending");
    }
    if !lane::is_durable(&stream).await {
        return serve_connection(node, stream, place, watcher).await;
    }
    let committing = node.pipeline.committing().clone();
    match lane::hand_over(stream, &committing) {
        Ok(stream) => {
            committing.spawn(serve_connection(node, stream, place, watcher));
        }
        Err(error) => tracing::warn!(%error, "a connection was lost between two threads"),
    }
}

async fn serve_connection(node: Arc<Node>, stream: TcpStream, place: OwnedSemaphorePermit, watcher: Watcher) {
    let handler = Arc::clone(&node);
    let service = service_fn(move |request| {
        let node = Arc::clone(&handler);
        async move { answer(&node, request).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(node.limits.idle_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let gauge = &node.metrics.connections;
    gauge.inc();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
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

/// A connection that broke before it was accepted is nothing; being out of files is, and accepting again at once
/// would only spin.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        tracing::warn!(%error, "cannot accept connections");
        sleep(ACCEPT_PAUSE).await;
    }
}
