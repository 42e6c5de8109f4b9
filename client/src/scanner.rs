//! A whole range of keys as a stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderValue};
use tokio::time::Instant;

use crate::call::Call;
use crate::engine::Engine;
use crate::error::{Cause, Error, Outcome};
use crate::item::{Item, ItemError};
use crate::listing::Listing;

/// How long the stream may stand still before it counts as broken.
const STALL_MAX: Duration = Duration::from_secs(15);

/// A line of a listing is a key and a value in base64 at most.
const LINE_BYTES_MAX: usize = 32 << 20;

/// A whole range of keys, one item after the other, without a limit.
///
/// When the stream breaks off, it goes on after the last key through the next router. Each key is read linearizably
/// by itself; the range as a whole is not a snapshot.
#[derive(Debug)]
pub struct Scanner {
    engine: Arc<Engine>,
    rest: Listing,
    last: Option<Bytes>,
    stream: Option<Stream>,
    failures: u32,
    /// When the stream last broke off without having brought a key since.
    failing_since: Option<Instant>,
    done: bool,
}

/// An open stream and what of it was read.
#[derive(Debug)]
struct Stream {
    router: String,
    body: Incoming,
    partial: BytesMut,
    lines: VecDeque<Bytes>,
}

impl Scanner {
    pub(crate) fn new(engine: Arc<Engine>, listing: Listing) -> Self {
        Self {
            engine,
            rest: listing,
            last: None,
            stream: None,
            failures: 0,
            failing_since: None,
            done: false,
        }
    }

    /// The next item; `None` after the last.
    ///
    /// # Errors
    /// When the range cannot be read on within the client's deadline. A further call tries again where it broke off.
    ///
    /// # Cancel safety
    /// A dropped call loses no item.
    pub async fn next(&mut self) -> Result<Option<Item>, Error> {
        while !self.done {
            if self.stream.is_none() {
                self.stream = Some(self.open().await?);
            }
            match self.advance().await {
                Ok(Some(item)) => {
                    (self.failures, self.failing_since) = (0, None);
                    // After an interruption the last key comes once more.
                    if self.last.as_ref() != Some(&item.key) {
                        self.last = Some(item.key.clone());
                        return Ok(Some(item));
                    }
                }
                Ok(None) => self.done = true,
                Err(cause) => self.broke_off(cause).await?,
            }
        }
        Ok(None)
    }

    async fn open(&mut self) -> Result<Stream, Error> {
        if let Some(last) = &self.last {
            self.rest.resume_at(last);
        }
        let call = Call::read("/v1/kv".to_owned(), self.rest.range_query())
            .header(ACCEPT, HeaderValue::from_static("application/x-ndjson"));
        let (router, body) = self.engine.open(&call).await?;
        Ok(Stream { router, body, partial: BytesMut::new(), lines: VecDeque::new() })
    }

    /// The next item of the open stream; `None` at its proper end.
    async fn advance(&mut self) -> Result<Option<Item>, Cause> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        loop {
            if let Some(line) = stream.lines.pop_front() {
                let item = Item::from_line(&line).map_err(|error| stream.cause(error))?;
                return Ok(Some(item));
            }
            if !stream.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Turns to the next router, unless this goes on for too long.
    async fn broke_off(&mut self, cause: Cause) -> Result<(), Error> {
        self.stream = None;
        self.failures += 1;
        if matches!(cause, Cause::Malformed { .. }) {
            return Err(Error::Malformed { cause, outcome: Outcome::NotApplied });
        }
        if self.failing_since.get_or_insert_with(Instant::now).elapsed() >= self.engine.deadline() {
            return Err(Error::Unavailable { attempts: self.failures, cause });
        }
        self.engine.turn_away_and_pause(self.failures).await;
        Ok(())
    }
}

impl Stream {
    /// Reads on until there are more lines. Whether there were any.
    async fn fill(&mut self) -> Result<bool, Cause> {
        while self.lines.is_empty() {
            let frame = tokio::time::timeout(STALL_MAX, self.body.frame())
                .await
                .map_err(|_elapsed| Cause::TimedOut { router: self.router.clone(), after: STALL_MAX })?;
            let Some(frame) = frame else { return self.finish() };
            let frame = frame
                .map_err(|error| Cause::Lost { router: self.router.clone(), detail: error.to_string() })?;
            if let Ok(data) = frame.into_data() {
                self.take_in(&data)?;
            }
        }
        Ok(true)
    }

    fn take_in(&mut self, data: &[u8]) -> Result<(), Cause> {
        let mut parts = data.split(|&byte| byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.partial.extend_from_slice(part);
            if parts.peek().is_some() {
                let line = self.partial.split().freeze();
                if !line.is_empty() {
                    self.lines.push_back(line);
                }
            }
        }
        if self.partial.len() > LINE_BYTES_MAX {
            return Err(self.malformed(format!("a line is longer than {LINE_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    /// At the end of the body: the last line may lack its end.
    fn finish(&mut self) -> Result<bool, Cause> {
        if self.partial.is_empty() {
            return Ok(false);
        }
        let line = self.partial.split().freeze();
        self.lines.push_back(line);
        Ok(true)
    }

    fn cause(&self, error: ItemError) -> Cause {
        match error {
            ItemError::Problem(problem) => {
                Cause::Answered { router: self.router.clone(), problem: Box::new(problem) }
            }
            other => self.malformed(other.to_string()),
        }
    }

    fn malformed(&self, detail: String) -> Cause {
        Cause::Malformed { router: self.router.clone(), detail }
    }
}
