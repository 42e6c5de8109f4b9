//! Deleting the keys of a range.

use std::sync::Arc;

use hyper::Method;
use serde::Deserialize;
use tokio::time::Instant;

use crate::call::Call;
use crate::engine::Engine;
use crate::error::{Cause, Error};
use crate::lines::Lines;
use crate::listing::Listing;
use crate::problem::Problem;

/// A deletion of the keys of a range, each by itself, on its way.
///
/// When it breaks off, it goes on where it was through the next router: a key that is deleted already is no error. A
/// key that is written while the deletion runs may be deleted or not.
#[derive(Debug)]
pub struct RangeDelete {
    engine: Arc<Engine>,
    range: Listing,
    /// Where it goes on when the stream breaks off.
    cursor: Option<String>,
    stream: Option<Lines>,
    /// Keys deleted by streams that ended, and by the open one.
    deleted_before: u64,
    deleted: u64,
    failures: u32,
    failing_since: Option<Instant>,
    done: bool,
}

/// One line of the answer.
#[derive(Deserialize)]
struct Progress {
    deleted: u64,
    next: Option<String>,
    code: Option<String>,
}

impl RangeDelete {
    pub(crate) fn new(engine: Arc<Engine>, range: Listing) -> Self {
        Self {
            engine,
            range,
            cursor: None,
            stream: None,
            deleted_before: 0,
            deleted: 0,
            failures: 0,
            failing_since: None,
            done: false,
        }
    }

    /// Goes on for one step: how many keys are deleted so far; `None` when there are no more. The router is a few
    /// steps ahead at most: it deletes no faster than its answers are taken.
    ///
    /// # Errors
    /// [`Error::BrokenOff`] when it cannot go on within the client's deadline: what was deleted stays deleted, and
    /// further calls try again. [`Error::Refused`] when the range is not acceptable; nothing was deleted.
    ///
    /// # Cancel safety
    /// A dropped call deletes nothing twice and forgets at most the number of keys of one step.
    pub async fn next(&mut self) -> Result<Option<u64>, Error> {
        while !self.done {
            match self.advance().await {
                Ok(Some(progress)) => {
                    (self.failures, self.failing_since) = (0, None);
                    self.done = progress.next.is_none();
                    self.cursor = progress.next;
                    return Ok(Some(self.deleted()));
                }
                Ok(None) => {
                    self.broke_off(Cause::Lost { router: String::new(), detail: "no last line".to_owned() })
                        .await?;
                }
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Broken(cause)) => self.broke_off(cause).await?,
            }
        }
        Ok(None)
    }

    /// Deletes all of the range. Returns how many keys.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn finish(mut self) -> Result<u64, Error> {
        while self.next().await?.is_some() {}
        Ok(self.deleted())
    }

    /// How many keys are deleted so far, as far as the answers tell.
    #[must_use]
    pub fn deleted(&self) -> u64 {
        self.deleted_before + self.deleted
    }

    async fn advance(&mut self) -> Result<Option<Progress>, Stop> {
        if self.stream.is_none() {
            let query = self.range.bounds_query().with_some("cursor", self.cursor.as_ref());
            let call = Call::repeatable(Method::DELETE, "/v1/kv".to_owned(), query);
            let (router, body) = self.engine.open(&call).await.map_err(|error| self.not_opened(error))?;
            self.stream = Some(Lines::new(router, body));
        }
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let Some(line) = stream.next().await? else { return Ok(None) };
        let progress: Progress =
            serde_json::from_slice(&line).map_err(|error| stream.malformed(error.to_string()))?;
        self.deleted = progress.deleted;
        if progress.code.is_some() {
            let problem = Problem::from_body(503, &line);
            self.cursor = progress.next.or(self.cursor.take());
            return Err(Stop::Broken(stream.answered(problem)));
        }
        Ok(Some(progress))
    }

    /// An attempt whose answer got lost may have deleted keys.
    fn not_opened(&self, error: Error) -> Stop {
        match error {
            Error::Unavailable { attempts, cause, .. } => {
                Stop::Failed(Error::BrokenOff { deleted: self.deleted(), attempts, cause })
            }
            other => Stop::Failed(other),
        }
    }

    /// Turns to the next router, unless this goes on for too long.
    async fn broke_off(&mut self, cause: Cause) -> Result<(), Error> {
        self.stream = None;
        self.deleted_before += std::mem::take(&mut self.deleted);
        self.failures += 1;
        let is_over = self.failing_since.get_or_insert_with(Instant::now).elapsed() >= self.engine.deadline();
        if is_over || matches!(cause, Cause::Malformed { .. }) {
            return Err(Error::BrokenOff { deleted: self.deleted(), attempts: self.failures, cause });
        }
        self.engine.turn_away_and_pause(self.failures).await;
        Ok(())
    }
}

/// Why there is no further line.
enum Stop {
    Failed(Error),
    Broken(Cause),
}

impl From<Cause> for Stop {
    fn from(cause: Cause) -> Self {
        Self::Broken(cause)
    }
}

#[cfg(test)]
#[path = "range_delete_tests.rs"]
mod tests;
