//! A node's side of a listing: pages of what its disk holds, made by the code that ships.

use roundtable_common::scan::page_of;
use roundtable_consensus::{Key, PartitionId, ScanPage, ScanRequest};

use crate::disk::Disk;

/// Rows that one page reads: few, so that pages end early too.
const ROWS_MAX: u64 = 6;

/// One page of the registers in the scan's partitions and range. What is not synced yet is not seen, as in a snapshot
/// of the store.
pub(crate) fn page(disk: &Disk, scan: &ScanRequest, partition_of: impl Fn(&Key) -> PartitionId) -> ScanPage {
    let registers = disk.registers().map(|(key, register)| (partition_of(key), key, register));
    page_of(scan, registers, ROWS_MAX)
}
