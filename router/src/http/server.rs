//! Accepts connections, serves requests on them, and ends them in order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use roundtable_common::serve::{
    Acceptor, BareRequest, ConnectionSettings, Open, Stage, send_and_close, serve_connection,
};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::info;

use crate::app::App;
use crate::config::Drain;
use crate::http::bare;
use crate::http::problem::{Code, Problem};
use crate::http::service::serve;

/// The most that one connection buffers; longer heads are refused.
const BUFFER_BYTES_MAX: usize = 128 << 10;
/// Refused connections that are told so at once; further ones are closed without a word.
const REFUSALS_MAX: usize = 64;

/// The listening side of a router.
pub struct Server {
    app: Arc<App>,
    acceptor: Acceptor,
    drain: Drain,
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
}

impl Server {
    /// A server on a listener that does not block.
    ///
    /// # Errors
    /// When the runtime can't take the listener.
    pub fn new(app: Arc<App>, listener: std::net::TcpListener, drain: Drain) -> std::io::Result<Self> {
        let places = app.limits().connections_max.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            app,
            acceptor: Acceptor::new(listener)?,
            drain,
            places: Arc::new(Semaphore::new(places)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
        })
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.acceptor.local_addr()
    }

    /// Serves until `told` resolves, then tells load balancers to leave, refuses new connections, and lets requests
    /// in progress end. Returns the number of connections that had to be cut.
    pub async fn run(mut self, told: impl Future<Output = ()>) -> usize {
        let (app, delay) = (Arc::clone(&self.app), self.drain.delay);
        let leave = async {
            told.await;
            app.stop().advance(Stage::Leaving);
            info!(?delay, "stopping: load balancers are told to leave");
            sleep(delay).await;
        };
        let mut leave = std::pin::pin!(leave);
        loop {
            tokio::select! {
                stream = self.acceptor.accept() => take(&self.app, &self.places, &self.refusals, stream),
                () = &mut leave => break,
            }
        }
        let Self { app, acceptor, drain, places, refusals } = self;
        for stream in acceptor.close() {
            take(&app, &places, &refusals, stream);
        }
        app.stop().advance(Stage::Stopping);
        let connections = &app.metrics().connections;
        let open = connections.get();
        info!(connections = open, timeout = ?drain.timeout, "stopping: requests in progress are ended");
        match timeout(drain.timeout, app.stop().ended()).await {
            Ok(()) => 0,
            Err(_) => usize::try_from(connections.get()).unwrap_or_default(),
        }
    }
}

/// Has a new connection served, or refused if there are too many.
fn take(app: &Arc<App>, places: &Arc<Semaphore>, refusals: &Arc<Semaphore>, stream: TcpStream) {
    let open = app.stop().open();
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        tokio::spawn(serve_on(Arc::clone(app), stream, place, open));
        return;
    }
    app.metrics().connections_refused.inc();
    if let Ok(refusal) = Arc::clone(refusals).try_acquire_owned() {
        let limit = app.limits().connections_max;
        let problem =
            Problem::new(Code::Overloaded, format!("{limit} connections are open, as many as are taken"));
        let answer = bare::answer(app, &problem);
        tokio::spawn(async move {
            send_and_close(stream, answer).await;
            drop((refusal, open));
        });
    }
}

async fn serve_on(app: Arc<App>, stream: TcpStream, place: OwnedSemaphorePermit, open: Open) {
    let settings = ConnectionSettings {
        idle_timeout: app.limits().idle_timeout,
        buffer_bytes_max: BUFFER_BYTES_MAX,
        half_close: true,
    };
    let refuse = |what: BareRequest| -> Response<Bytes> { bare::refuse(&app, what, BUFFER_BYTES_MAX) };
    let handle = |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(serve(app, request).await) }
    };
    let gauge = app.metrics().connections.clone();
    gauge.inc();
    serve_connection(stream, settings, app.stop(), open, refuse, handle).await;
    gauge.dec();
    drop(place);
}
