//! Bodies of requests and answers, bounded in length, time and memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use roundtable_common::serve::Stop;
use roundtable_common::wire::Refused;
use tokio::time::timeout;

use crate::budget::{Budget, Held};

/// The body of an answer. Holds its share of the memory until it is sent.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    bytes: Full<Bytes>,
    _held: Held,
}

impl AnswerBody {
    pub(crate) fn new(bytes: Bytes, held: Held) -> Self {
        Self { bytes: Full::new(bytes), _held: held }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.bytes).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}

/// Receives a whole body. The memory of one that tells its length is granted before its first byte is read; one that
/// does not is granted it as it grows.
///
/// # Errors
/// When it is too long, too slow, or broken off, when the memory is used up, or when the node stops before it is there.
pub(crate) async fn receive(
    body: Incoming,
    bytes_max: usize,
    budget: &Budget,
    wait: Duration,
    stop: &Stop,
) -> Result<(Bytes, Held), Refused> {
    let told = body.size_hint().upper();
    let expected = match told.map(usize::try_from) {
        Some(Ok(bytes)) if bytes <= bytes_max => bytes,
        Some(_) => return Err(too_long(told.unwrap_or(u64::MAX), bytes_max)),
        None => 0,
    };
    let held = budget.take(expected).ok_or(Refused::Overloaded)?;
    tokio::select! {
        biased;
        received = timeout(wait, collect(body, bytes_max, budget, held)) => {
            received.unwrap_or_else(|_| {
                let detail = format!("the body did not arrive within {} ms", wait.as_millis());
                Err(Refused::Malformed { detail })
            })
        }
        () = stop.receive_time_over() => {
            Err(Refused::NotReady { reason: "the node is stopping, and the body did not arrive in time".to_owned() })
        }
    }
}

async fn collect(
    mut body: Incoming,
    bytes_max: usize,
    budget: &Budget,
    mut held: Held,
) -> Result<(Bytes, Held), Refused> {
    let mut first = None;
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refused::Malformed {
            detail: format!("the body could not be received: {error}"),
        })?;
        let Ok(chunk) = frame.into_data() else { continue };
        let length = first.as_ref().map_or(joined.len(), Bytes::len) + chunk.len();
        if length > bytes_max {
            return Err(too_long(length as u64, bytes_max));
        }
        if length > held.bytes() {
            held.join(budget.take(length - held.bytes()).ok_or(Refused::Overloaded)?);
        }
        if joined.is_empty() && first.is_none() {
            first = Some(chunk);
        } else {
            if let Some(first) = first.take() {
                joined.reserve(held.bytes());
                joined.extend_from_slice(&first);
            }
            joined.extend_from_slice(&chunk);
        }
    }
    Ok((first.unwrap_or_else(|| joined.freeze()), held))
}

fn too_long(bytes: u64, bytes_max: usize) -> Refused {
    Refused::Malformed {
        detail: format!("the body has {bytes} bytes or more; at most {bytes_max} are accepted"),
    }
}
