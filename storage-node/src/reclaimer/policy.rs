//! When dead values are worth the work of giving their room back.
//!
//! With enough room it is done on a quiet node alone, and for shares that are worth it: loaded nodes flush and compact
//! by themselves, and puts must not wait for more. Below the reserve every deleted byte is wanted back, because clients
//! that delete want to write again.

use roundtable_consensus::DiskSpace;

use crate::store::{Occupancy, Reclaim};

/// Fewer registers written in a second are quiet.
const QUIET_REGISTERS_MAX: u64 = 64;
/// A piece of collecting takes no more room for a while, however much there is.
const COLLECT_BYTES_MAX: u64 = 1 << 30;
/// Less than this, or this share of the disk, is not worth any work; more than the other is always worth it.
const STEP_BYTES: (u64, u64) = (1 << 20, 64 << 20);
const STEPS_OF_DISK: u64 = 128;

/// What a node knows at one look at its disk, a second after the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) space: DiskSpace,
    pub(super) free_bytes: u64,
    pub(super) disk_bytes: u64,
    pub(super) occupancy: Occupancy,
    /// Registers written since the last look.
    pub(super) registers_written: u64,
    /// Nothing was merged for some seconds.
    pub(super) rested: bool,
}

/// The piece of work to do now, if any is worth it.
pub(super) fn choose(seen: &Seen) -> Option<Reclaim> {
    let quiet = seen.registers_written < QUIET_REGISTERS_MAX;
    let Occupancy {
        blob_bytes,
        blob_garbage_bytes,
        dead_value_bytes,
        register_table_bytes,
        dead_register_bytes,
    } = seen.occupancy;
    let (least, most) = STEP_BYTES;
    let step = (seen.disk_bytes / STEPS_OF_DISK).clamp(least, most);
    let least_of = |enough: u64, low: u64, low_and_quiet: u64| match seen.space {
        DiskSpace::Enough => quiet.then_some(enough.max(4 * step)),
        DiskSpace::Low | DiskSpace::Critical if quiet && seen.rested => Some(low_and_quiet),
        DiskSpace::Low | DiskSpace::Critical => Some(low),
    };
    let is_worth = |dead: u64, least: Option<u64>| least.is_some_and(|least| dead >= least);
    // Rows of long values are few and short: merging them is cheap. Registers are the whole of the other data.
    if is_worth(dead_value_bytes, least_of(blob_bytes / 4, step, 1)) {
        return Some(Reclaim::MergeValues);
    }
    if is_worth(dead_register_bytes, least_of(register_table_bytes / 2, step, step / 8)) {
        return Some(Reclaim::MergeRegisters);
    }
    let share = step.max(blob_bytes / 16);
    let bytes_max = (seen.free_bytes / 2).min(COLLECT_BYTES_MAX);
    is_worth(blob_garbage_bytes, least_of(blob_bytes / 2, share, share))
        .then_some(Reclaim::CollectBlobs { bytes_max })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A quiet node with 100 GiB of long values and as many of short ones, none dead.
    const QUIET: Seen = Seen {
        space: DiskSpace::Enough,
        free_bytes: 10 << 30,
        disk_bytes: 1 << 40,
        occupancy: Occupancy {
            blob_bytes: 100 << 30,
            blob_garbage_bytes: 0,
            dead_value_bytes: 0,
            register_table_bytes: 100 << 30,
            dead_register_bytes: 0,
        },
        registers_written: 0,
        rested: true,
    };
    const LOADED: Seen = Seen { registers_written: 10_000, ..QUIET };

    fn with(seen: Seen, space: DiskSpace, change: impl FnOnce(&mut Occupancy)) -> Option<Reclaim> {
        let mut seen = Seen { space, ..seen };
        change(&mut seen.occupancy);
        choose(&seen)
    }

    #[test]
    fn nothing_dead_is_no_work() {
        for space in [DiskSpace::Enough, DiskSpace::Low, DiskSpace::Critical] {
            assert_eq!(with(QUIET, space, |_| {}), None);
            assert_eq!(with(LOADED, space, |_| {}), None);
        }
    }

    #[test]
    fn loaded_node_with_room_does_no_work_however_much_is_dead() {
        let all_dead = |occupancy: &mut Occupancy| {
            occupancy.dead_value_bytes = occupancy.blob_bytes;
            occupancy.dead_register_bytes = occupancy.register_table_bytes;
            occupancy.blob_garbage_bytes = occupancy.blob_bytes;
        };
        assert_eq!(with(LOADED, DiskSpace::Enough, all_dead), None);
        assert_eq!(with(QUIET, DiskSpace::Enough, all_dead), Some(Reclaim::MergeValues));
        assert_eq!(with(LOADED, DiskSpace::Low, all_dead), Some(Reclaim::MergeValues));
    }

    #[test]
    fn quiet_node_with_room_works_for_large_shares_alone() {
        let values = |bytes| with(QUIET, DiskSpace::Enough, |occupancy| occupancy.dead_value_bytes = bytes);
        assert_eq!((values(24 << 30), values(25 << 30)), (None, Some(Reclaim::MergeValues)));
        let registers =
            |bytes| with(QUIET, DiskSpace::Enough, |occupancy| occupancy.dead_register_bytes = bytes);
        assert_eq!((registers(49 << 30), registers(50 << 30)), (None, Some(Reclaim::MergeRegisters)));
        let garbage =
            |bytes| with(QUIET, DiskSpace::Enough, |occupancy| occupancy.blob_garbage_bytes = bytes);
        let collect = Some(Reclaim::CollectBlobs { bytes_max: 1 << 30 });
        assert_eq!((garbage(49 << 30), garbage(50 << 30)), (None, collect));
    }

    #[test]
    fn below_the_reserve_small_shares_are_worth_it_and_on_a_quiet_node_any_long_value() {
        let dead = |seen, bytes| with(seen, DiskSpace::Low, |occupancy| occupancy.dead_value_bytes = bytes);
        assert_eq!((dead(LOADED, 63 * MIB), dead(LOADED, 64 * MIB)), (None, Some(Reclaim::MergeValues)));
        assert_eq!(dead(QUIET, 1), Some(Reclaim::MergeValues));
        assert_eq!(dead(Seen { rested: false, ..QUIET }, 1), None);
        let garbage =
            |bytes| with(QUIET, DiskSpace::Critical, |occupancy| occupancy.blob_garbage_bytes = bytes);
        assert!(garbage(6 << 30).is_none() && garbage(7 << 30).is_some());
    }

    #[test]
    fn collecting_takes_half_of_the_room_that_there_is() {
        let seen = Seen { free_bytes: 30 * MIB, disk_bytes: 182 * MIB, ..QUIET };
        let garbage = |occupancy: &mut Occupancy| {
            (occupancy.blob_bytes, occupancy.blob_garbage_bytes) = (110 * MIB, 20 * MIB);
        };
        let collect = Some(Reclaim::CollectBlobs { bytes_max: 15 * MIB });
        assert_eq!(with(seen, DiskSpace::Low, garbage), collect);
    }
}
