//! A node's side of a listing: pages of what its disk holds.

use roundtable_common::wire::register_size_hint;
use roundtable_consensus::{Key, PageEnd, PartitionId, Register, ScanEntry, ScanPage, ScanRequest};

use crate::disk::Disk;

/// One page of the registers in the scan's partitions and range, tombstones included. What is not synced yet is not
/// seen, as in a snapshot of the store.
pub(crate) fn page(disk: &Disk, scan: &ScanRequest, partition_of: impl Fn(&Key) -> PartitionId) -> ScanPage {
    let wanted = |(key, _): &(&Key, &Register)| {
        scan.range.contains(key.as_bytes()) && scan.partitions.contains(&partition_of(key))
    };
    let mut found: Vec<(&Key, &Register)> = disk.registers().filter(wanted).collect();
    if scan.reverse {
        found.reverse();
    }
    let mut entries: Vec<ScanEntry> = Vec::new();
    let mut bytes = 0;
    for (key, register) in found {
        let full = entries.len() >= scan.limit as usize || bytes >= scan.bytes_max as usize;
        if let (true, Some(last)) = (full, entries.last()) {
            let end = PageEnd::Through(last.key.clone());
            return ScanPage { entries, end };
        }
        bytes += key.as_bytes().len() + register_size_hint(register);
        let register = if scan.want_values { register.clone() } else { register.without_value() };
        entries.push(ScanEntry { partition: partition_of(key), key: key.clone(), register });
    }
    ScanPage { entries, end: PageEnd::Exhausted }
}
