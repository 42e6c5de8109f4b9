//! Keys, values and the order in which keys are asked for: the same for every system.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Zipf};

use crate::case::{Case, Distribution, Operation};
use crate::failure::{Doing as _, Failure};

/// How steep the zipfian distribution is: the usual value of such benchmarks.
const ZIPF_EXPONENT: f64 = 0.99;

/// How many draws are made ahead; then they begin again.
const DRAWS: usize = 1 << 16;

/// Values are cut from this many random bytes, so that they don't compress.
const POOL_BYTES: usize = 1 << 20;

/// Keys and values.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    keys: u32,
    value_bytes: usize,
    pool: Bytes,
}

impl Workload {
    /// So many keys with values of this size.
    pub(crate) fn new(keys: u32, value_bytes: u32) -> Self {
        let value_bytes = usize::try_from(value_bytes).unwrap_or(usize::MAX);
        let mut pool = vec![0; POOL_BYTES.saturating_add(value_bytes)];
        StdRng::seed_from_u64(1).fill_bytes(&mut pool);
        Self { keys, value_bytes, pool: pool.into() }
    }

    /// How many keys.
    pub(crate) fn keys(&self) -> u32 {
        self.keys
    }

    /// The key with this number, from 0: letters, digits and `/` alone, which need no encoding anywhere.
    pub(crate) fn key(number: u32) -> String {
        format!("bench/{number:08}")
    }

    /// The value of this key. Each key keeps its own, so that what is read can be checked.
    pub(crate) fn value(&self, number: u32) -> Bytes {
        // A prime, so that neighbours share nothing.
        let number = usize::try_from(number).unwrap_or(0);
        let start = number.wrapping_mul(7919) % POOL_BYTES;
        self.pool.slice(start..start + self.value_bytes)
    }
}

/// The numbers of the keys to ask for, in order.
pub(crate) fn draws(case: &Case, keys: u32) -> Result<Vec<u32>, Failure> {
    let mut random = StdRng::seed_from_u64(2);
    Ok(match (case.operation, case.distribution) {
        (Operation::Hot, _) => vec![0],
        (_, Distribution::Uniform) => (0..DRAWS).map(|_| random.random_range(0..keys)).collect(),
        (_, Distribution::Zipfian) => {
            let zipf = Zipf::new(f64::from(keys), ZIPF_EXPONENT).doing(|| "drawing zipfian keys")?;
            (0..DRAWS).map(|_| rank(zipf.sample(&mut random), keys) - 1).collect()
        }
    })
}

/// A whole number from 1 to `keys` out of a draw that is one already.
fn rank(drawn: f64, keys: u32) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is a whole number from 1 to the count"
    )]
    let rank = drawn as u32;
    rank.clamp(1, keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(operation: Operation, distribution: Distribution) -> Case {
        Case { value_bytes: 100, operation, distribution, connections: 1 }
    }

    fn share_of_key_0(distribution: Distribution) -> f64 {
        let draws = draws(&case(Operation::Put, distribution), 1000).unwrap();
        assert!(draws.iter().all(|&number| number < 1000));
        draws.iter().filter(|&&number| number == 0).count() as f64 / draws.len() as f64
    }

    #[test]
    fn draws_follow_their_distribution() {
        assert!((0.0005..0.002).contains(&share_of_key_0(Distribution::Uniform)));
        // The harmonic sum of 1000 ranks with exponent 0.99 is 7.73.
        assert!((0.12..0.14).contains(&share_of_key_0(Distribution::Zipfian)));
        assert_eq!(draws(&case(Operation::Hot, Distribution::Uniform), 1000).unwrap(), [0]);
    }

    #[test]
    fn values_have_their_size_and_differ_by_key() {
        let workload = Workload::new(1000, 100);
        assert_eq!(workload.value(7).len(), 100);
        assert_eq!(workload.value(7), Workload::new(5, 100).value(7));
        assert_ne!(workload.value(7), workload.value(8));
        assert_eq!(Workload::key(7), "bench/00000007");
    }
}
