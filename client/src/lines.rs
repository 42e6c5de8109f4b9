//! A streamed answer, line by line.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::error::Cause;
use crate::problem::Problem;

/// How long the stream may stand still before it counts as broken.
const STALL_MAX: Duration = Duration::from_secs(15);

/// A line of a listing is a key and a value in base64 at most.
const LINE_BYTES_MAX: usize = 32 << 20;

/// An open stream and what of it was read.
#[derive(Debug)]
pub(crate) struct Lines {
    router: String,
    body: Incoming,
    partial: BytesMut,
    lines: VecDeque<Bytes>,
}

impl Lines {
    /// The lines of this router's answer.
    pub(crate) fn new(router: String, body: Incoming) -> Self {
        Self { router, body, partial: BytesMut::new(), lines: VecDeque::new() }
    }

    /// The next line; `None` at the stream's proper end.
    ///
    /// # Cancel safety
    /// A dropped call loses no line.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cause> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// The router ended the stream with an error.
    pub(crate) fn answered(&self, problem: Problem) -> Cause {
        Cause::Answered { router: self.router.clone(), problem: Box::new(problem) }
    }

    /// A line makes no sense.
    pub(crate) fn malformed(&self, detail: String) -> Cause {
        Cause::Malformed { router: self.router.clone(), detail }
    }

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
}
