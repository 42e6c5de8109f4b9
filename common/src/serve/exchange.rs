//! What is known of a connection beside hyper: whether an answer is owed on it, and whether a request has begun.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The state of one connection. Everything happens in the task that drives it; the atomics only make it shareable.
#[derive(Debug)]
pub(super) struct Exchange {
    started: Instant,
    /// A request is with its handler, or its answer is being made.
    busy: AtomicBool,
    /// Bytes of an answer may not have been written yet.
    owes: AtomicBool,
    /// Bytes that have arrived while no answer was owed: a part of a request's head.
    head_bytes: AtomicUsize,
    /// The status of an answer that hyper made by itself; 0 as long as there is none.
    bare_status: AtomicU16,
    /// When the last answer was written, in microseconds after `started`.
    idle_since_us: AtomicU64,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            busy: AtomicBool::new(false),
            owes: AtomicBool::new(false),
            head_bytes: AtomicUsize::new(0),
            bare_status: AtomicU16::new(0),
            idle_since_us: AtomicU64::new(0),
        }
    }

    /// A request's head is whole, and its handler begins.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.store(true, Relaxed);
        self.owes.store(true, Relaxed);
        self.head_bytes.store(0, Relaxed);
        Busy(Arc::clone(self))
    }

    /// Whether a request is being served, down to the last byte of its answer.
    pub(super) fn owes_answer(&self) -> bool {
        self.owes.load(Relaxed)
    }

    /// Bytes of a head that is not whole yet.
    pub(super) fn head_bytes(&self) -> usize {
        self.head_bytes.load(Relaxed)
    }

    /// The status of the answer that hyper would have given to something that is not a request.
    pub(super) fn bare_status(&self) -> Option<u16> {
        Some(self.bare_status.load(Relaxed)).filter(|status| *status != 0)
    }

    /// For how long no answer has been owed.
    pub(super) fn idle_for(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_micros(self.idle_since_us.load(Relaxed)))
    }

    fn received(&self, bytes: usize) {
        if !self.owes_answer() {
            self.head_bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// Everything that hyper had to write is with the system.
    fn flushed(&self) {
        if self.owes_answer() && !self.busy.load(Relaxed) {
            let since_us = self.started.elapsed().as_micros();
            self.idle_since_us.store(u64::try_from(since_us).unwrap_or(u64::MAX), Relaxed);
            self.owes.store(false, Relaxed);
        }
    }

    /// Hyper writes although no answer is owed: it refuses what is no request. Keeps the status.
    fn note_bare(&self, first: &[u8]) {
        let digits = first.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        if self.bare_status().is_none() {
            self.bare_status.store(status.unwrap_or(400), Relaxed);
        }
    }
}

/// A request is being served as long as this exists.
#[derive(Debug)]
pub(super) struct Busy(Arc<Exchange>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Relaxed);
    }
}

/// A socket that keeps its connection's [`Exchange`] up to date. It is not shut down through hyper: that is the
/// driver's part.
#[derive(Debug)]
pub(super) struct WatchedStream {
    stream: TcpStream,
    exchange: Arc<Exchange>,
}

impl WatchedStream {
    pub(super) fn new(stream: TcpStream, exchange: Arc<Exchange>) -> Self {
        Self { stream, exchange }
    }

    pub(super) fn into_inner(self) -> TcpStream {
        self.stream
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.exchange.received(buffer.filled().len().saturating_sub(before));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.exchange.owes_answer() {
            self.exchange.note_bare(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.exchange.owes_answer() {
            self.exchange.note_bare(pieces.first().map_or(&[], |piece| &**piece));
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.exchange.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An answer's body. Its request counts as being served until it is dropped.
#[derive(Debug)]
pub(super) struct Watched<B> {
    body: B,
    _busy: Busy,
}

impl<B> Watched<B> {
    pub(super) fn new(body: B, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
