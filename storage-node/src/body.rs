//! Bodies of requests and answers, bounded in length, time and memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
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

/// Receives a whole body, its memory granted before its first byte is read.
///
/// # Errors
/// When it is too long, too slow, or broken off, or when the memory is used up.
pub(crate) async fn receive(
    body: Incoming,
    bytes_max: usize,
    budget: &Budget,
    wait: Duration,
) -> Result<(Bytes, Held), Refused> {
    let too_long = |bytes: u64| Refused::Malformed {
        detail: format!("the body has {bytes} bytes; at most {bytes_max} are accepted"),
    };
    // A body that doesn't tell its length is granted the longest.
    let told = body.size_hint().upper();
    let expected = match told.map(usize::try_from) {
        Some(Ok(bytes)) if bytes <= bytes_max => bytes,
        Some(_) => return Err(too_long(told.unwrap_or(u64::MAX))),
        None => bytes_max,
    };
    let held = budget.take(expected).ok_or(Refused::Overloaded)?;
    match timeout(wait, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok((collected.to_bytes(), held)),
        Ok(Err(error)) => {
            Err(Refused::Malformed { detail: format!("the body could not be received: {error}") })
        }
        Err(_) => {
            let detail = format!("the body did not arrive within {} ms", wait.as_millis());
            Err(Refused::Malformed { detail })
        }
    }
}
