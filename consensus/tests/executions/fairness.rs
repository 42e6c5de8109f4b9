//! Two routers on one key, one 3 s behind: 9,441 against 2 operations in 10 s when the slow one went "one tick past"
//! the ballot it was told; fair with an offset. A router 5.2 s ahead, and any rejection counting: the good router got
//! nothing done.

use crate::script::C;
use crate::world::World;

/// Runs two routers for two seconds of the world's time and returns what each got done.
fn race(seed: u64, node_skews_ms: [i64; 3], router_skews_ms: [i64; 2]) -> [u64; 2] {
    let mut world = World::new(seed, node_skews_ms, &router_skews_ms);
    world.increment_for(2_000_000);
    assert!(world.failed.is_empty(), "seed {seed}: {:?}", world.failed);
    [world.done[0], world.done[1]]
}

#[track_caller]
fn assert_all_fair(done: &[u64], what: &str) {
    let less = done.iter().copied().min().unwrap();
    let more = done.iter().copied().max().unwrap();
    assert!(less >= 100 && less * 2 >= more, "{what}: {done:?}");
}

#[test]
fn router_with_a_slow_clock_gets_its_share() {
    for seed in 0..2 {
        assert_all_fair(&race(seed, [0, 0, 0], [0, -3_000]), "three seconds behind");
        assert_all_fair(&race(seed, [0, 0, 0], [0, -3_600_000]), "an hour behind");
    }
}

#[test]
fn router_with_a_fast_clock_starves_nobody() {
    for seed in 0..2 {
        // A's clock is a little ahead, so it alone takes the fast router's ballots and refuses the good one's.
        assert_all_fair(&race(seed, [300, 0, 0], [0, 5_200]), "beyond what a majority takes");
        assert_all_fair(&race(seed, [0, 0, 0], [0, 4_000]), "four seconds ahead");
        assert_all_fair(&race(seed, [0, 0, 0], [0, 3_600_000]), "an hour ahead");
    }
}

#[test]
fn node_with_a_wrong_clock_among_good_ones_starves_nobody() {
    for seed in 0..2 {
        for wrong_ms in [-3_600_000, -6_000, 6_000, 3_600_000] {
            assert_all_fair(&race(seed, [wrong_ms, 0, 0], [0, 0]), "one node's clock is wrong");
        }
    }
}

#[test]
fn routers_with_good_clocks_share_a_key_evenly() {
    for seed in 0..2 {
        let mut world = World::new(seed, [0, 0, 0], &[0, 0, 0]);
        world.increment_for(2_000_000);
        assert_all_fair(&world.done, "nothing is wrong");
    }
}

#[test]
fn routers_with_wrong_clocks_get_their_share_while_a_node_is_frozen() {
    for seed in 0..2 {
        let mut world = World::new(seed, [0, 0, 0], &[0, -3_000, 3_000]);
        world.freeze(C);
        world.increment_for(2_000_000);
        assert!(world.failed.is_empty(), "seed {seed}: {:?}", world.failed);
        assert_all_fair(&world.done, "a node is frozen");
    }
}
