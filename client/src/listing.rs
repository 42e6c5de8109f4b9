//! Ranges of keys, page by page.

use bytes::Bytes;
use serde::Deserialize;

use crate::item::{Item, ItemError, RawItem};
use crate::path::Query;

/// Which keys to list, in byte order.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub(crate) prefix: Option<Bytes>,
    pub(crate) start: Option<Bytes>,
    pub(crate) end: Option<Bytes>,
    pub(crate) tag: Option<Bytes>,
    pub(crate) reverse: bool,
    pub(crate) values: bool,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl Listing {
    /// All keys, without their values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only keys that begin with this.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Bytes>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Only keys from this one on.
    #[must_use]
    pub fn start(mut self, start: impl Into<Bytes>) -> Self {
        self.start = Some(start.into());
        self
    }

    /// Only keys before this one.
    #[must_use]
    pub fn end(mut self, end: impl Into<Bytes>) -> Self {
        self.end = Some(end.into());
        self
    }

    /// Only keys with this tag: one partition answers.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<Bytes>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// From the last key to the first.
    #[must_use]
    pub fn reverse(mut self, reverse: bool) -> Self {
        self.reverse = reverse;
        self
    }

    /// With the values.
    #[must_use]
    pub fn values(mut self, values: bool) -> Self {
        self.values = values;
        self
    }

    /// The size of a page, 1 to 10,000 (default 100); a [`Scanner`](crate::Scanner) has no pages.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The page after the one that named this cursor.
    #[must_use]
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// The parameters of a page.
    pub(crate) fn page_query(&self) -> Query {
        self.range_query()
            .with_some("limit", self.limit.map(|limit| limit.to_string()))
            .with_some("cursor", self.cursor.as_ref())
    }

    /// The parameters of the whole range.
    pub(crate) fn range_query(&self) -> Query {
        self.bounds_query()
            .with_some("reverse", self.reverse.then_some("true"))
            .with_some("values", self.values.then_some("true"))
    }

    /// The parameters that say which keys are in the range.
    pub(crate) fn bounds_query(&self) -> Query {
        Query::default()
            .with_some("prefix", self.prefix.as_ref())
            .with_some("start", self.start.as_ref())
            .with_some("end", self.end.as_ref())
            .with_some("tag", self.tag.as_ref())
    }

    /// What is left of the range after this key was listed. Going forward, the key itself is listed once more: the
    /// key just above the longest key is too long to be named.
    pub(crate) fn resume_at(&mut self, key: &Bytes) {
        if self.reverse {
            self.end = Some(key.clone());
        } else {
            self.start = Some(key.clone());
        }
    }
}

/// A page of a listing. Each key was read linearizably by itself; the page as a whole is not a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The keys, in order.
    pub items: Vec<Item>,
    /// Where the next page begins; absent after the last.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct RawPage {
    items: Vec<RawItem>,
    next: Option<String>,
}

impl Page {
    pub(crate) fn from_body(body: &[u8]) -> Result<Self, ItemError> {
        let raw: RawPage =
            serde_json::from_slice(body).map_err(|error| ItemError::Json(error.to_string()))?;
        let items = raw.items.into_iter().map(RawItem::into_item).collect::<Result<_, _>>()?;
        Ok(Self { items, next: raw.next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resume_continues_at_the_last_key() {
        let mut forward = Listing::new().prefix("a").values(true);
        forward.resume_at(&Bytes::from_static(b"ab"));
        assert_eq!(forward.range_query().as_str(), "?prefix=a&start=ab&values=true");
        let mut backward = Listing::new().reverse(true);
        backward.resume_at(&Bytes::from_static(b"ab"));
        assert_eq!(backward.range_query().as_str(), "?end=ab&reverse=true");
    }

    #[test]
    fn page_without_a_cursor_is_the_last() {
        let page = Page::from_body(br#"{"items":[{"key":"a","etag":"1"}],"next":null}"#).unwrap();
        assert_eq!((page.items.len(), page.next), (1, None));
        assert!(Page::from_body(b"[]").is_err());
    }
}
