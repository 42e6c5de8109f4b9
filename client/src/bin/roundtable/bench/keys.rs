//! Which key comes next.

use rand::{Rng, RngExt as _};
use rand_distr::{Distribution as _, Zipf};

use crate::bench::Distribution;
use crate::failure::Failure;

/// Draws keys.
#[derive(Debug)]
pub(crate) struct KeyChooser {
    prefix: String,
    count: u64,
    zipf: Option<Zipf<f64>>,
}

impl KeyChooser {
    /// Among `count` keys that begin with `prefix`.
    pub(crate) fn new(
        prefix: &str,
        count: u64,
        distribution: Distribution,
        theta: f64,
    ) -> Result<Self, Failure> {
        let prefix = percent_encoding::utf8_percent_encode(prefix, PATH).to_string();
        let zipf = match distribution {
            Distribution::Uniform => None,
            Distribution::Zipfian => {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "at most a thousand million, which f64 holds exactly"
                )]
                let zipf = Zipf::new(count as f64, theta);
                let refuse = |error| Failure::Usage(format!("--theta {theta}: {error}"));
                Some(zipf.map_err(refuse)?)
            }
        };
        Ok(Self { prefix, count, zipf })
    }

    /// The path of the key with this number, from 0.
    pub(crate) fn path(&self, number: u64) -> String {
        format!("/v1/kv/{}{number:010}", self.prefix)
    }

    /// The number of the next key. In a zipfian draw the lowest numbers are the most frequent; the hash of the key
    /// spreads them over the partitions.
    pub(crate) fn draw(&self, random: &mut impl Rng) -> u64 {
        match &self.zipf {
            None => random.random_range(0..self.count),
            Some(zipf) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rank is a whole number from 1 to the count"
                )]
                let rank = zipf.sample(random) as u64;
                rank.clamp(1, self.count) - 1
            }
        }
    }
}

/// A key's slashes stand for themselves.
const PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    fn frequencies(distribution: Distribution) -> Vec<u32> {
        let keys = KeyChooser::new("k/", 100, distribution, 0.99).expect("a chooser");
        let mut random = StdRng::seed_from_u64(7);
        let mut counts = vec![0_u32; 100];
        for _ in 0..100_000 {
            counts[usize::try_from(keys.draw(&mut random)).expect("a small number")] += 1;
        }
        counts
    }

    #[test]
    fn uniform_keys_come_alike() {
        assert!(frequencies(Distribution::Uniform).iter().all(|&count| (800..1200).contains(&count)));
    }

    #[test]
    fn zipfian_keys_follow_their_ranks() {
        let counts = frequencies(Distribution::Zipfian);
        // With theta 0.99 over 100 keys the first rank has a share of 1 / 5.29.
        assert!((17_500..20_500).contains(&counts[0]), "{}", counts[0]);
        assert!((8_500..10_500).contains(&counts[1]), "{}", counts[1]);
        assert!(counts[99] > 0 && counts[99] < counts[9]);
    }

    #[test]
    fn same_seed_draws_the_same_keys() {
        assert_eq!(frequencies(Distribution::Zipfian), frequencies(Distribution::Zipfian));
    }

    #[test]
    fn path_encodes_the_prefix() {
        let keys = KeyChooser::new("a b/", 5, Distribution::Uniform, 0.99).unwrap();
        assert_eq!(keys.path(3), "/v1/kv/a%20b/0000000003");
    }
}
