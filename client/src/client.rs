//! The client: operations on keys.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::answer::{Consistency, Counter, Entry, Written, etag, malformed, settled};
use crate::builder::ClientBuilder;
use crate::call::Call;
use crate::cluster::{ClusterView, KeyPlace, Readiness};
use crate::engine::Engine;
use crate::error::{Error, Outcome, RequestError};
use crate::etag::ETag;
use crate::listing::{Listing, Page};
use crate::path::{Query, key_path};
use crate::problem::Problem;
use crate::range_delete::RangeDelete;
use crate::scanner::Scanner;
use crate::write::{Condition, Delete, Increment, Put, Touch};

/// A store of keys and values, reached through one or more routers. Clones share connections.
///
/// # Cancel safety
/// A dropped write may still be applied.
#[derive(Debug, Clone)]
pub struct Client {
    engine: Arc<Engine>,
}

impl Client {
    /// Makes a client.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine: Arc::new(engine) }
    }

    /// The key's value; `None` if it does not exist.
    ///
    /// # Errors
    /// When no router gives a definite answer before the deadline, or the request is refused.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Entry>, Error> {
        self.get_with(key, Consistency::Linearizable).await
    }

    /// As [`Self::get`], with a choice of freshness.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_with(
        &self,
        key: impl AsRef<[u8]>,
        consistency: Consistency,
    ) -> Result<Option<Entry>, Error> {
        let eventual = (consistency == Consistency::Eventual).then_some("eventual");
        let query = Query::default().with_some("consistency", eventual);
        let (router, response) = self.engine.run(&Call::read(kv_path(key)?, query)).await?;
        if response.status == 404 {
            return Ok(None);
        }
        Entry::from_answer(&router, response).map(Some)
    }

    /// Writes a value: text or bytes as they are, or a [`Put`] with condition, time to live, content type.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] when the condition does not hold; else as the outcome of the error says.
    pub async fn put(&self, key: impl AsRef<[u8]>, put: impl Into<Put>) -> Result<Written, Error> {
        let put = put.into();
        let query = Query::default().with_some("ttl", put.ttl.map(ttl_ms));
        let mut call = Call::write(Method::PUT, kv_path(key)?, query, put.idempotency_key)
            .condition(&put.condition)?
            .body(put.value);
        if let Some(content_type) = put.content_type {
            call = call.header(CONTENT_TYPE, checked_content_type(&content_type)?);
        }
        let (router, response) = self.engine.run(&call).await?;
        settled(&response)?;
        Ok(Written {
            etag: etag(&router, &response.headers, Outcome::Unknown)?,
            created: response.status == 201,
        })
    }

    /// Writes a value only if the key does not exist.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] when it exists; else as [`Self::put`].
    pub async fn create(&self, key: impl AsRef<[u8]>, put: impl Into<Put>) -> Result<Written, Error> {
        self.put(key, put.into().condition(Condition::Absent)).await
    }

    /// Writes a value only if the key stands at exactly this version.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] when it does not; else as [`Self::put`].
    pub async fn compare_and_set(
        &self,
        key: impl AsRef<[u8]>,
        expected: &ETag,
        put: impl Into<Put>,
    ) -> Result<Written, Error> {
        self.put(key, put.into().condition(Condition::Matches(expected.clone()))).await
    }

    /// Deletes a key. Whether there was one.
    ///
    /// # Errors
    /// As the outcome of the error says.
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.delete_with(key, Delete::new()).await
    }

    /// As [`Self::delete`], with a condition.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] when the condition does not hold; else as [`Self::delete`].
    pub async fn delete_with(&self, key: impl AsRef<[u8]>, delete: Delete) -> Result<bool, Error> {
        refuse_absent(&delete.condition)?;
        let call = Call::write(Method::DELETE, kv_path(key)?, Query::default(), delete.idempotency_key)
            .condition(&delete.condition)?;
        let (_, response) = self.engine.run(&call).await?;
        if response.status == 404 {
            return Ok(false);
        }
        settled(&response)?;
        Ok(true)
    }

    /// Adds to a counter, atomically; an absent key counts as 0.
    ///
    /// # Errors
    /// [`Error::Refused`] with code `not_a_counter` or `counter_overflow`, when nothing changed; else as the outcome
    /// of the error says.
    pub async fn increment(
        &self,
        key: impl AsRef<[u8]>,
        increment: impl Into<Increment>,
    ) -> Result<Counter, Error> {
        let increment = increment.into();
        let query = Query::default()
            .with("op", "increment")
            .with("by", increment.by.to_string())
            .with_some("ttl", increment.ttl.map(ttl_ms));
        let call = Call::write(Method::POST, kv_path(key)?, query, increment.idempotency_key);
        let (router, response) = self.engine.run(&call).await?;
        settled(&response)?;
        Counter::from_answer(&router, &response)
    }

    /// Renews a key's time to live. The new version; `None` if there is no such key.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`] when a condition does not hold; else as the outcome of the error says.
    pub async fn touch(&self, key: impl AsRef<[u8]>, touch: impl Into<Touch>) -> Result<Option<ETag>, Error> {
        let touch = touch.into();
        refuse_absent(&touch.condition)?;
        let query = Query::default().with("op", "touch").with("ttl", touch.ttl.parameter());
        let call = Call::write(Method::POST, kv_path(key)?, query, touch.idempotency_key)
            .condition(&touch.condition)?;
        let (router, response) = self.engine.run(&call).await?;
        if response.status == 404 {
            return Ok(None);
        }
        settled(&response)?;
        etag(&router, &response.headers, Outcome::Unknown).map(Some)
    }

    /// One page of keys.
    ///
    /// # Errors
    /// When no router answers before the deadline, or the request is refused.
    pub async fn list(&self, listing: &Listing) -> Result<Page, Error> {
        let (router, response) =
            self.engine.run(&Call::read("/v1/kv".to_owned(), listing.page_query())).await?;
        Page::from_body(&response.body)
            .map_err(|error| malformed(&router, &error.to_string(), Outcome::NotApplied))
    }

    /// All keys of a range, as a stream.
    #[must_use]
    pub fn scan(&self, listing: Listing) -> Scanner {
        Scanner::new(Arc::clone(&self.engine), listing)
    }

    /// How many keys a range has; order, limit and cursor don't matter. Much cheaper than listing them. Each key
    /// counts as it is by itself; the number is not that of a moment.
    ///
    /// # Errors
    /// When no router has counted the whole range before the deadline, or the request is refused.
    pub async fn count(&self, range: &Listing) -> Result<u64, Error> {
        #[derive(serde::Deserialize)]
        struct Count {
            count: u64,
        }
        let query = range.bounds_query().with("count", "true");
        let (router, response) = self.engine.run(&Call::read("/v1/kv".to_owned(), query)).await?;
        let count: Result<Count, _> = serde_json::from_slice(&response.body);
        count
            .map(|count| count.count)
            .map_err(|error| malformed(&router, &error.to_string(), Outcome::NotApplied))
    }

    /// Deletes the keys of a range, each by itself, step by step; order, limit and cursor don't matter. The range must
    /// have a prefix, start, end or tag. Nothing happens before the first [`RangeDelete::next`].
    #[must_use]
    pub fn delete_range(&self, range: Listing) -> RangeDelete {
        RangeDelete::new(Arc::clone(&self.engine), range)
    }

    /// The cluster as a router sees it.
    ///
    /// # Errors
    /// When no router answers before the deadline.
    pub async fn cluster(&self) -> Result<ClusterView, Error> {
        self.read_json("/v1/cluster".to_owned()).await
    }

    /// Where a key lies, and what each replica holds.
    ///
    /// # Errors
    /// When no router answers before the deadline.
    pub async fn locate(&self, key: impl AsRef<[u8]>) -> Result<KeyPlace, Error> {
        self.read_json(key_path("/v1/cluster/where", key.as_ref())?).await
    }

    /// Whether the preferred router can serve every key: one attempt, no other router.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn readiness(&self) -> Result<Readiness, Error> {
        let call = Call::read("/readyz".to_owned(), Query::default()).without_timeout();
        let response = self.engine.once(&call).await?;
        Ok(Readiness::from_answer(response.status.is_success(), &response.body))
    }

    async fn read_json<T: serde::de::DeserializeOwned>(&self, path: String) -> Result<T, Error> {
        let (router, response) =
            self.engine.run(&Call::read(path, Query::default()).without_timeout()).await?;
        if !response.status.is_success() {
            return Err(Error::Refused(Box::new(Problem::from_body(
                response.status.as_u16(),
                &response.body,
            ))));
        }
        serde_json::from_slice(&response.body)
            .map_err(|error| malformed(&router, &error.to_string(), Outcome::NotApplied))
    }
}

/// The path of a key's value.
fn kv_path(key: impl AsRef<[u8]>) -> Result<String, RequestError> {
    key_path("/v1/kv", key.as_ref())
}

fn refuse_absent(condition: &Condition) -> Result<(), RequestError> {
    if *condition == Condition::Absent { Err(RequestError::Condition) } else { Ok(()) }
}

fn checked_content_type(found: &[u8]) -> Result<HeaderValue, RequestError> {
    match HeaderValue::from_bytes(found) {
        // Blanks around a header's value are lost on the way.
        Ok(value) if (1..=255).contains(&found.len()) && found.trim_ascii() == found => Ok(value),
        _ => Err(RequestError::ContentType { found: String::from_utf8_lossy(found).into_owned() }),
    }
}

fn ttl_ms(ttl: Duration) -> String {
    format!("{}ms", ttl.as_millis())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
