//! Scans of registers that lie in memory, for replicas without a store.

use std::collections::BTreeMap;
use std::convert::Infallible;

use roundtable_consensus::{Key, PartitionId, Register, ScanEntry, ScanPage, ScanRequest};

use super::{Head, Rows, page};

/// A page of `registers`, which are in key order. The page ends early after about `rows_max` rows.
pub fn page_of<'a>(
    request: &ScanRequest,
    registers: impl IntoIterator<Item = (PartitionId, &'a Key, &'a Register)>,
    rows_max: u64,
) -> ScanPage {
    let mut partitions: BTreeMap<PartitionId, Vec<ScanEntry>> =
        request.partitions.iter().map(|partition| (*partition, Vec::new())).collect();
    for (partition, key, register) in registers {
        let wanted = partitions.get_mut(&partition).filter(|_| request.range.contains(key.as_bytes()));
        if let Some(entries) = wanted {
            let register = if request.want_values { register.clone() } else { register.without_value() };
            entries.push(ScanEntry { partition, key: key.clone(), register });
        }
    }
    let rows = partitions.into_iter().map(|(partition, mut entries)| {
        // The present entry is the last one.
        if !request.reverse {
            entries.reverse();
        }
        (partition, Entries(entries))
    });
    match page(request, rows, |rows| rows >= rows_max) {
        Ok((page, _)) => page,
        Err(never) => match never {},
    }
}

struct Entries(Vec<ScanEntry>);

impl Rows for Entries {
    type Error = Infallible;

    fn head(&mut self) -> Result<Option<Head<'_>>, Infallible> {
        Ok(self.0.last().map(|entry| Head {
            key: entry.key.as_bytes(),
            accepted: entry.register.accepted,
            live: entry.register.content.is_live(),
            expires_at: entry.register.expires_at,
        }))
    }

    fn entry(&mut self) -> Result<Option<ScanEntry>, Infallible> {
        Ok(self.0.pop())
    }

    fn step(&mut self) {
        self.0.pop();
    }
}
