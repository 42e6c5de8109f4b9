//! Which key comes next.

use rand::{Rng, RngExt as _};
use rand_distr::{Distribution as _, Zipf};

use crate::bench::args::Distribution;
use crate::bench::inserts::Inserts;
use crate::bench::workload::Shape;
use crate::failure::Failure;

/// YCSB's scrambled zipfian distribution draws a rank out of so many and folds it onto the keys, so that which keys
/// are popular, and by how much, depends little on how many there are.
const RANKS: f64 = 10_000_000_000.0;

/// Draws keys by number, from 0.
#[derive(Debug)]
pub(crate) struct KeyChooser {
    count: u64,
    theta: f64,
    distribution: Distribution,
    ranks: Zipf<f64>,
}

impl KeyChooser {
    /// For this workload.
    ///
    /// # Errors
    /// When the distribution cannot be as steep as asked for.
    pub(crate) fn new(shape: &Shape) -> Result<Self, Failure> {
        let theta = shape.theta;
        let refuse = || Failure::Usage(format!("--theta {theta}: expected a number from 0 to 10"));
        if !(0.0..=10.0).contains(&theta) {
            return Err(refuse());
        }
        let ranks = Zipf::new(RANKS, theta).map_err(|_| refuse())?;
        Ok(Self { count: shape.keys, theta, distribution: shape.distribution, ranks })
    }

    /// The next key. Those that the load inserts are drawn by the latest distribution alone.
    pub(crate) fn draw(&self, inserts: &Inserts, random: &mut impl Rng) -> u64 {
        match self.distribution {
            Distribution::Hot => 0,
            Distribution::Uniform => random.random_range(0..self.count),
            Distribution::Zipfian => scattered(whole(self.ranks.sample(random)), self.count),
            Distribution::Latest => {
                let readable = inserts.readable();
                #[expect(clippy::cast_precision_loss, reason = "far fewer keys than f64 holds exactly")]
                let Ok(ranks) = Zipf::new(readable as f64, self.theta) else { return 0 };
                readable - whole(ranks.sample(random)).clamp(1, readable)
            }
        }
    }
}

/// A rank, a whole number from 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 1 to 10^10")]
fn whole(rank: f64) -> u64 {
    rank as u64
}

/// The place of a rank among so many keys: FNV-1a over its bytes, as YCSB does.
fn scattered(rank: u64, count: u64) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    rank.to_le_bytes().into_iter().fold(0xcbf2_9ce4_8422_2325, step) % count
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::bench::workload::Shape;

    const DRAWS: u32 = 200_000;

    fn chooser(distribution: Distribution, keys: u64) -> KeyChooser {
        KeyChooser::new(&Shape::of_reads(distribution, keys)).unwrap()
    }

    fn frequencies(chooser: &KeyChooser, inserts: &Inserts) -> Vec<u32> {
        let mut random = StdRng::seed_from_u64(7);
        let mut counts = vec![0_u32; 2_000];
        for _ in 0..DRAWS {
            counts[usize::try_from(chooser.draw(inserts, &mut random)).unwrap()] += 1;
        }
        counts
    }

    fn share(count: u32) -> f64 {
        f64::from(count) / f64::from(DRAWS)
    }

    #[test]
    fn uniform_keys_come_alike() {
        let counts = frequencies(&chooser(Distribution::Uniform, 100), &Inserts::new(100));
        assert!(counts[..100].iter().all(|&count| (1_800..2_200).contains(&count)));
        assert_eq!(counts[100..].iter().sum::<u32>(), 0);
    }

    #[test]
    fn zipfian_head_has_the_shares_of_ycsb_and_is_scattered() {
        let counts = frequencies(&chooser(Distribution::Zipfian, 1_000), &Inserts::new(1_000));
        assert_eq!(counts[1_000..].iter().sum::<u32>(), 0);
        let mut order: Vec<usize> = (0..1_000).collect();
        order.sort_by_key(|&key| std::cmp::Reverse(counts[key]));
        // Of 10^10 ranks the first has the share 1 / 26.469 and the second 1 / (26.469 * 2^0.99), as YCSB's own
        // constant says; what else folds onto the same key adds about a thousandth.
        for (place, rank, expected) in [(0, 1, 1.0 / 26.469), (1, 2, 1.0 / (26.469 * 2_f64.powf(0.99)))] {
            let found = share(counts[order[place]]);
            assert!((expected - 0.002..expected + 0.004).contains(&found), "rank {rank}: {found}");
            assert_eq!(u64::try_from(order[place]).unwrap(), scattered(rank, 1_000));
        }
        assert!(order[0].abs_diff(order[1]) > 1, "popular keys are not neighbours");
        assert!(counts[order[999]] > 0, "the least popular key comes too");
    }

    #[test]
    fn latest_keys_are_the_popular_ones_and_follow_the_inserts() {
        let chooser = chooser(Distribution::Latest, 100);
        let inserts = Inserts::new(100);
        // With theta 0.99 over 100 keys the first rank has a share of 1 / 5.29, the second one of 1 / 10.5.
        let counts = frequencies(&chooser, &inserts);
        assert!((share(counts[99]) - 0.189).abs() < 0.01, "{}", counts[99]);
        assert!((share(counts[98]) - 0.095).abs() < 0.01, "{}", counts[98]);
        assert!(counts[0] > 0);
        for _ in 0..50 {
            let key = inserts.begin();
            inserts.end(key);
        }
        let counts = frequencies(&chooser, &inserts);
        assert!(share(counts[149]) > 0.17 && share(counts[99]) < 0.02, "{} {}", counts[149], counts[99]);
        assert_eq!(counts[150], 0);
    }

    #[test]
    fn same_seed_draws_the_same_keys() {
        let chooser = chooser(Distribution::Zipfian, 1_000);
        let inserts = Inserts::new(1_000);
        assert_eq!(frequencies(&chooser, &inserts), frequencies(&chooser, &inserts));
    }

    #[test]
    fn theta_out_of_range_is_refused() {
        for theta in [-1.0, f64::NAN, f64::INFINITY] {
            let mut shape = Shape::of_reads(Distribution::Zipfian, 10);
            shape.theta = theta;
            assert!(KeyChooser::new(&shape).is_err(), "{theta}");
        }
    }
}
