//! A body that is made while it is sent, no faster than the client takes it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Pieces that wait to be sent.
const PIECES_MAX: usize = 2;
/// A client that takes nothing for this long is given up.
const STALL_MAX: Duration = Duration::from_secs(60);

/// The stream ended before everything was told; the connection breaks, so that the client can't take it for whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream was cut short")]
pub struct CutShort;

/// The reading end: the response's body.
pub struct LineStream {
    pieces: mpsc::Receiver<Result<Bytes, CutShort>>,
}

/// The writing end.
pub struct LineSink {
    pieces: mpsc::Sender<Result<Bytes, CutShort>>,
}

/// Both ends of a stream.
#[must_use]
pub fn line_stream() -> (LineSink, LineStream) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    (LineSink { pieces: sender }, LineStream { pieces: receiver })
}

impl LineSink {
    /// Sends a piece when the client is ready for it. `false`: nobody takes it any more.
    pub async fn send(&self, piece: Bytes) -> bool {
        matches!(timeout(STALL_MAX, self.pieces.send(Ok(piece))).await, Ok(Ok(())))
    }

    /// Ends the stream so that the client notices that something is missing.
    pub async fn cut_short(self) {
        // A client that is gone needs no notice.
        let _ = timeout(STALL_MAX, self.pieces.send(Err(CutShort))).await;
    }
}

impl Body for LineStream {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        self.pieces.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
