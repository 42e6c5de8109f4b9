//! One connection from its first byte to its end.

use std::error::Error;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tracing::debug;

use super::answer::{BareRequest, close, send_and_close};
use super::exchange::{Exchange, Watched, WatchedStream};
use super::stop::{Open, RECEIVE_TIME_MAX, Stage, Stop};

/// A connection on which nothing was owed for so long is idle: nothing speaks for another request at this moment.
const IDLE_MIN: Duration = Duration::from_millis(250);
/// How often a connection of a server that stops is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The bounds of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionSettings {
    /// The time that it may lie idle before the next request's head is there.
    pub idle_timeout: Duration,
    /// The most that it buffers; a longer head ends it.
    pub buffer_bytes_max: usize,
    /// Whether a client that has closed its side gets its answer.
    pub half_close: bool,
}

/// How hyper's part came to its end.
enum Ended {
    /// After an answer, or with an error.
    ByItself(Result<(), hyper::Error>),
    /// The server stops, and nothing is under way.
    Idle,
    /// The server stops, and the rest of a head does not come.
    HalfSent,
}

/// Serves requests on a connection until it ends: `handle` makes the answers, and `refuse` those to what is no request.
///
/// `open` keeps the server from ending; see the module's introduction for how a connection ends when it stops.
pub async fn serve_connection<H, A, B, E>(
    stream: TcpStream,
    settings: ConnectionSettings,
    stop: &Stop,
    mut open: Open,
    refuse: impl Fn(BareRequest) -> Response<Bytes>,
    handle: H,
) where
    H: Fn(Request<Incoming>) -> A,
    A: Future<Output = Result<Response<B>, E>>,
    B: Body + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "delayed sending not turned off");
    }
    let exchange = Arc::new(Exchange::new());
    let service = |request| {
        let busy = exchange.begin();
        let answer = handle(request);
        async move {
            let mut response = answer.await?;
            if stop.stage() > Stage::Running {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, E>(response.map(|body| Watched::new(body, busy)))
        }
    };
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(settings.idle_timeout)
        .max_buf_size(settings.buffer_bytes_max)
        .half_close(settings.half_close);
    let mut stream = stream;
    loop {
        let watched = TokioIo::new(WatchedStream::new(stream, Arc::clone(&exchange)));
        let mut connection = builder.serve_connection(watched, service_fn(&service));
        let ended = tokio::select! {
            biased;
            ended = &mut connection => Ended::ByItself(ended),
            ended = time_to_go(&exchange, &mut open) => ended,
        };
        let parts = connection.into_parts();
        stream = parts.io.into_inner().into_inner();
        // Of a head that arrived behind an earlier request, only what hyper has left is known.
        let begun = !parts.read_buf.is_empty();
        match ended {
            Ended::Idle if !begun && has_unread(&stream) => {}
            Ended::Idle if !begun => return,
            Ended::Idle | Ended::HalfSent => {
                return send_and_close(stream, refuse(BareRequest::Stopping)).await;
            }
            Ended::ByItself(result) => {
                if let Err(error) = &result {
                    debug!(%error, "connection ended");
                }
                return match bare_request(&exchange, result, settings.buffer_bytes_max) {
                    Some(bare) => send_and_close(stream, refuse(bare)).await,
                    None => close(stream).await,
                };
            }
        }
    }
}

/// Waits until the server stops and nothing is under way on the connection, or only a head that does not go on.
async fn time_to_go(exchange: &Exchange, open: &mut Open) -> Ended {
    let stopping_since = open.stopping().await;
    loop {
        sleep(LOOK_EVERY).await;
        if exchange.owes_answer() {
            continue;
        }
        let has_begun = exchange.head_bytes() > 0;
        if !has_begun && exchange.idle_for() >= IDLE_MIN {
            return Ended::Idle;
        }
        if has_begun && stopping_since.elapsed() >= RECEIVE_TIME_MAX {
            return Ended::HalfSent;
        }
    }
}

/// Whether bytes of the client, or its end, lie unread. Asked of the system: the runtime may not have heard of the
/// latest yet.
fn has_unread(stream: &TcpStream) -> bool {
    SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]).is_ok()
}

/// What arrived in place of a request, if that is why the connection ended.
fn bare_request(
    exchange: &Exchange,
    result: Result<(), hyper::Error>,
    buffer_bytes_max: usize,
) -> Option<BareRequest> {
    let error = result.err();
    let words = || error.as_ref().map_or_else(String::new, ToString::to_string);
    match (exchange.bare_status(), &error) {
        (Some(414), _) => Some(BareRequest::UriTooLong),
        (Some(431), _) if exchange.head_bytes() < buffer_bytes_max => Some(BareRequest::TooManyHeaders),
        (Some(431), _) => Some(BareRequest::HeadTooLong),
        (Some(_), _) => Some(BareRequest::Malformed(words())),
        (None, Some(error)) if !exchange.owes_answer() && exchange.head_bytes() > 0 => {
            if error.is_timeout() {
                Some(BareRequest::TooSlow)
            } else if error.is_parse() || error.is_incomplete_message() {
                Some(BareRequest::Malformed(words()))
            } else {
                None
            }
        }
        (None, _) => None,
    }
}
