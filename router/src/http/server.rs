//! Accepts connections, serves requests on them, and ends them in order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::app::{App, Stage};
use crate::config::Drain;
use crate::http::problem::{Code, Problem};
use crate::http::reply::REQUEST_ID;
use crate::http::request_id::request_id;
use crate::http::service::serve;

/// The most that one connection buffers; longer headers end it with 431.
const BUFFER_BYTES_MAX: usize = 128 << 10;
/// Refused connections that are told so at once; further ones are closed without a word.
const REFUSALS_MAX: usize = 64;
/// How long a refused connection may take to read its answer.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);
/// The pause after a failed accept: the process is out of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listening side of a router.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    drain: Drain,
}

impl Server {
    /// A server on a listener that does not block.
    ///
    /// # Errors
    /// When the runtime can't take the listener.
    pub fn new(app: Arc<App>, listener: std::net::TcpListener, drain: Drain) -> std::io::Result<Self> {
        Ok(Self { app, listener: TcpListener::from_std(listener)?, drain })
    }

    /// The address that is listened on.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` resolves, then tells load balancers to leave, refuses new connections, and lets requests
    /// in progress end. Returns the number of connections that had to be cut.
    pub async fn run(self, stop: impl Future<Output = ()>) -> usize {
        let Self { app, listener, drain } = self;
        let places = Arc::new(Semaphore::new(app.limits().connections_max.min(Semaphore::MAX_PERMITS)));
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let graceful = GracefulShutdown::new();
        let leave = async {
            stop.await;
            app.advance(Stage::Leaving);
            info!(delay = ?drain.delay, "stopping: load balancers are told to leave");
            sleep(drain.delay).await;
        };
        let mut leave = std::pin::pin!(leave);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut leave => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let connection = connection(Arc::clone(&app), stream);
                    let connection = graceful.watch(connection);
                    let gauge = app.metrics().connections.clone();
                    tokio::spawn(async move {
                        gauge.inc();
                        if let Err(error) = connection.await {
                            debug!(%error, "connection ended");
                        }
                        gauge.dec();
                        drop(place);
                    });
                }
                Err(_) => {
                    app.metrics().connections_refused.inc();
                    if let Ok(refusal) = Arc::clone(&refusals).try_acquire_owned() {
                        let limit = app.limits().connections_max;
                        tokio::spawn(async move {
                            // A client that doesn't read its refusal is closed all the same.
                            let _ = timeout(REFUSAL_TIME_MAX, refuse(stream, limit)).await;
                            drop(refusal);
                        });
                    }
                }
            }
        }
        drop(listener);
        app.advance(Stage::Stopping);
        let open = graceful.count();
        info!(connections = open, timeout = ?drain.timeout, "stopping: requests in progress are ended");
        let connections = app.metrics().connections.clone();
        match timeout(drain.timeout, graceful.shutdown()).await {
            Ok(()) => 0,
            Err(_) => usize::try_from(connections.get()).unwrap_or_default(),
        }
    }
}

type HyperConnection<S> = http1::Connection<TokioIo<TcpStream>, S>;

fn connection(
    app: Arc<App>,
    stream: TcpStream,
) -> HyperConnection<
    impl hyper::service::Service<
        hyper::Request<hyper::body::Incoming>,
        Response = hyper::Response<crate::http::service::AnswerBody>,
        Error = Infallible,
        Future: Send,
    > + Send,
> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "option not set");
    }
    let idle_timeout = app.limits().idle_timeout;
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Infallible>(serve(app, request).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle_timeout)
        .max_buf_size(BUFFER_BYTES_MAX)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
}

/// Answers a connection that there is no room for, whatever it asks.
async fn refuse(mut stream: TcpStream, limit: usize) -> std::io::Result<()> {
    let request_id = request_id(&hyper::HeaderMap::new());
    let problem =
        Problem::new(Code::Overloaded, format!("{limit} connections are open, as many as are taken"));
    let response = problem.to_response(&request_id);
    let body = response.body();
    let mut text = format!(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n{REQUEST_ID}: {request_id}\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in response.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await?;
    // Closing with unread input would reset the connection, and the answer with it.
    let mut rest = tokio::io::sink();
    tokio::io::copy(&mut stream, &mut rest).await.map(|_| ())
}
