//! Receives bodies within limits. Nothing of a request is done before its whole body is there.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::header;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::app::App;
use crate::http::problem::{Code, Problem};

/// How much of a refused body is received and thrown away, so that a client that does not read while it writes
/// gets to see the answer.
const DISCARD_BYTES_MAX: usize = 64 << 20;
/// How long that may take.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// A value, and the memory that is counted for it until it is dropped.
pub struct ReceivedValue {
    /// The bytes.
    pub bytes: Bytes,
    /// The memory.
    pub memory: OwnedSemaphorePermit,
}

/// Receives a put's value. A client that waits for "100 Continue" is refused before it has sent anything.
///
/// The memory for a value that tells its length is taken before its first byte is read; one that does not (chunked)
/// takes it as it grows.
///
/// # Errors
/// When the value is too large, does not arrive in time, or breaks off; when there is no memory for it; when the router
/// stops before the value is there.
pub async fn read_value(app: &App, headers: &HeaderMap, body: Incoming) -> Result<ReceivedValue, Problem> {
    while_it_arrives(app, receive(app, headers, body)).await
}

/// Makes sure that a request that takes no body has none.
///
/// # Errors
/// When there is one, or the router stops before that is known.
pub async fn refuse_body(app: &App, body: Incoming) -> Result<(), Problem> {
    if body.is_end_stream() {
        return Ok(());
    }
    while_it_arrives(app, receive_nothing(body)).await
}

/// Receives within the time that a router that stops leaves for it.
async fn while_it_arrives<T>(
    app: &App,
    receive: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    tokio::select! {
        biased;
        received = receive => received,
        () = app.stop().receive_time_over() => {
            Err(Problem::new(Code::ShuttingDown, "the router is stopping, and the body did not arrive in time"))
        }
    }
}

async fn receive(app: &App, headers: &HeaderMap, mut body: Incoming) -> Result<ReceivedValue, Problem> {
    let limits = app.limits();
    let declared = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if declared.is_some_and(|length| length > limits.value_bytes_max) {
        if !headers.contains_key(header::EXPECT) {
            discard(body).await;
        }
        return Err(too_large(limits.value_bytes_max));
    }
    let mut memory = app.reserve_body(declared.unwrap_or(0))?;
    let arrives_by = Instant::now() + limits.body_timeout;
    let mut received: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    loop {
        let chunk = match timeout_at(arrives_by, next_chunk(&mut body)).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(problem)) => return Err(problem),
            Err(_) => return Err(too_slow(limits.body_timeout)),
        };
        let length = received.as_ref().map_or(joined.len(), Bytes::len) + chunk.len();
        if length > limits.value_bytes_max {
            discard(body).await;
            return Err(too_large(limits.value_bytes_max));
        }
        app.grow_body(&mut memory, length)?;
        if joined.is_empty() && received.is_none() {
            received = Some(chunk);
        } else {
            joined.extend(received.take());
            joined.extend_from_slice(&chunk);
        }
    }
    Ok(ReceivedValue { bytes: received.unwrap_or_else(|| joined.freeze()), memory })
}

async fn receive_nothing(mut body: Incoming) -> Result<(), Problem> {
    match timeout(DISCARD_TIME_MAX, next_chunk(&mut body)).await {
        Ok(Ok(None)) => Ok(()),
        Ok(Err(problem)) => Err(problem),
        Ok(Ok(Some(_))) => {
            discard(body).await;
            Err(Problem::new(Code::BadRequest, "the request has a body; none is taken here"))
        }
        Err(_) => Err(too_slow(DISCARD_TIME_MAX)),
    }
}

/// The next bytes of a body that are not empty; `None` at its end.
async fn next_chunk(body: &mut Incoming) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new(Code::BadRequest, format!("the body broke off: {error}; nothing was done"))
        })?;
        if let Ok(chunk) = frame.into_data()
            && !chunk.is_empty()
        {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

async fn discard(mut body: Incoming) {
    let receive = async {
        let mut left = DISCARD_BYTES_MAX;
        while let Ok(Some(chunk)) = next_chunk(&mut body).await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Out of time is as good as received: the connection is closed then.
    let _ = timeout(DISCARD_TIME_MAX, receive).await;
}

fn too_large(limit: usize) -> Problem {
    let detail = format!("the value is larger than {limit} bytes, the most that is accepted");
    Problem::new(Code::ValueTooLarge, detail).with_limit(limit as u64)
}

fn too_slow(limit: Duration) -> Problem {
    Problem::new(Code::RequestTimeout, format!("the body did not arrive within {limit:?}; nothing was done"))
}
