//! A whole range of keys as a stream.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{ACCEPT, HeaderValue};
use tokio::time::Instant;

use crate::call::Call;
use crate::engine::Engine;
use crate::error::{Cause, Error, Outcome};
use crate::item::{Item, ItemError};
use crate::lines::Lines;
use crate::listing::Listing;

/// A whole range of keys, one item after the other, without a limit.
///
/// When the stream breaks off, it goes on after the last key through the next router. Each key is read linearizably
/// by itself; the range as a whole is not a snapshot.
#[derive(Debug)]
pub struct Scanner {
    engine: Arc<Engine>,
    rest: Listing,
    last: Option<Bytes>,
    stream: Option<Lines>,
    failures: u32,
    /// When the stream last broke off without having brought a key since.
    failing_since: Option<Instant>,
    done: bool,
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

    async fn open(&mut self) -> Result<Lines, Error> {
        if let Some(last) = &self.last {
            self.rest.resume_at(last);
        }
        let call = Call::read("/v1/kv".to_owned(), self.rest.range_query())
            .header(ACCEPT, HeaderValue::from_static("application/x-ndjson"));
        let (router, body) = self.engine.open(&call).await?;
        Ok(Lines::new(router, body))
    }

    /// The next item of the open stream; `None` at its proper end.
    async fn advance(&mut self) -> Result<Option<Item>, Cause> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let Some(line) = stream.next().await? else { return Ok(None) };
        Item::from_line(&line).map(Some).map_err(|error| match error {
            ItemError::Problem(problem) => stream.answered(problem),
            other => stream.malformed(other.to_string()),
        })
    }

    /// Turns to the next router, unless this goes on for too long.
    async fn broke_off(&mut self, cause: Cause) -> Result<(), Error> {
        self.stream = None;
        self.failures += 1;
        if matches!(cause, Cause::Malformed { .. }) {
            return Err(Error::Malformed { cause, outcome: Outcome::NotApplied });
        }
        if self.failing_since.get_or_insert_with(Instant::now).elapsed() >= self.engine.deadline() {
            return Err(Error::Unavailable { attempts: self.failures, cause, is_write: false });
        }
        self.engine.turn_away_and_pause(self.failures).await;
        Ok(())
    }
}
