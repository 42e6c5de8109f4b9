//! One record of an import on its way into the store.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use roundtable_client::{Client, Condition, Error, Put, Ttl};

use crate::transfer::Record;

/// How every record is stored.
#[derive(Debug)]
pub(crate) struct Storing {
    pub(crate) client: Client,
    pub(crate) key_prefix: Bytes,
    pub(crate) create: bool,
    /// Goes before what the record says.
    pub(crate) ttl: Option<Ttl>,
    /// Goes before what the record says.
    pub(crate) content_type: Option<Bytes>,
}

/// One record's end.
pub(crate) struct Done {
    pub(crate) line: u64,
    pub(crate) offset: u64,
    pub(crate) key: Bytes,
    pub(crate) value_bytes: usize,
    pub(crate) took: Duration,
    /// Whether it was stored, rather than over before it began.
    pub(crate) result: Result<bool, Error>,
}

impl Storing {
    /// Stores a record that stands at this place of the file.
    pub(crate) async fn store(&self, line: u64, offset: u64, record: Record) -> Done {
        let begun = Instant::now();
        let (key, value_bytes) = (record.key.clone(), record.value.len());
        let result = self.put(record).await;
        Done { line, offset, key, value_bytes, took: begun.elapsed(), result }
    }

    async fn put(&self, record: Record) -> Result<bool, Error> {
        let mut put = Put::new(record.value);
        let ttl = self.ttl.or_else(|| record.expires_at_ms.map(|at| Ttl::After(time_until(at))));
        if let Some(Ttl::After(left)) = ttl {
            if left.as_millis() == 0 {
                return Ok(false);
            }
            put = put.ttl(left);
        }
        if self.create {
            put = put.condition(Condition::Absent);
        }
        if let Some(content_type) = self.content_type.as_ref().or(record.content_type.as_ref()) {
            put = put.content_type(content_type);
        }
        let key = [&self.key_prefix[..], &record.key[..]].concat();
        self.client.put(key, put).await.map(|_written| true)
    }
}

/// How long it is until this Unix time in milliseconds; nothing if it is past.
fn time_until(at_ms: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(at_ms).saturating_sub(now)
}
