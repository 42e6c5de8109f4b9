//! What all connections of a measurement share.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::bench::args::BenchArgs;
use crate::bench::connection::Endpoint;
use crate::bench::created::Created;
use crate::bench::inserts::Inserts;
use crate::bench::keys::KeyChooser;
use crate::bench::request::{KEY_DIGITS, Requests};
use crate::bench::workload::Shape;
use crate::failure::Failure;
use crate::output;

/// Values are cut from this many random bytes, so that they neither compress nor cost time to make.
const POOL_BYTES: usize = 1 << 20;

/// A key has 4096 bytes at most.
const PREFIX_BYTES_MAX: usize = 4096 - KEY_DIGITS;

/// What all connections do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) keys: KeyChooser,
    pub(crate) inserts: Inserts,
    /// Which keys this run made.
    pub(crate) created: Created,
    pub(crate) requests: Requests,
    pub(crate) seed: u64,
    endpoints: Vec<Endpoint>,
    pool: Bytes,
}

impl Plan {
    /// What the options ask for.
    ///
    /// # Errors
    /// When an address is none, or options do not go together.
    pub(crate) fn new(args: &BenchArgs) -> Result<Self, Failure> {
        let shape = Shape::new(args)?;
        let prefix = output::bytes_of(&args.key_prefix);
        if prefix.len() > PREFIX_BYTES_MAX {
            return Err(Failure::Usage(format!(
                "--key-prefix has {} bytes; at most {PREFIX_BYTES_MAX} leave room for a key's number",
                prefix.len()
            )));
        }
        let mut pool = vec![0; POOL_BYTES + value_bytes(&shape)];
        StdRng::seed_from_u64(args.seed).fill_bytes(&mut pool);
        Ok(Self {
            keys: KeyChooser::new(&shape)?,
            inserts: Inserts::new(shape.keys),
            created: Created::new(shape.keys),
            requests: Requests::new(prefix),
            seed: args.seed,
            endpoints: args
                .routers
                .addresses()?
                .into_iter()
                .map(Endpoint::parse)
                .collect::<Result<_, _>>()?,
            pool: pool.into(),
            shape,
        })
    }

    /// The router of the connection with this number.
    pub(crate) fn endpoint(&self, number: u64) -> Option<&Endpoint> {
        let count = u64::try_from(self.endpoints.len()).ok()?;
        self.endpoints.get(usize::try_from(number.checked_rem(count)?).ok()?)
    }

    /// A value.
    pub(crate) fn value(&self, random: &mut StdRng) -> Bytes {
        let begin = random.random_range(0..POOL_BYTES);
        self.pool.slice(begin..begin + value_bytes(&self.shape))
    }
}

fn value_bytes(shape: &Shape) -> usize {
    usize::try_from(shape.value_bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn prefix_that_leaves_no_room_for_a_number_is_refused() {
        for (length, fits) in [(PREFIX_BYTES_MAX, true), (PREFIX_BYTES_MAX + 1, false)] {
            let prefix = "p".repeat(length);
            let options = ["roundtable", "bench", "--key-prefix", &prefix];
            let Command::Bench(args) = Cli::try_parse_from(options).unwrap().command else {
                panic!("a bench")
            };
            assert_eq!(Plan::new(&args).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn values_have_the_asked_size_and_differ() {
        let options = ["roundtable", "bench", "--value-bytes", "40"];
        let Command::Bench(args) = Cli::try_parse_from(options).unwrap().command else { panic!("a bench") };
        let plan = Plan::new(&args).unwrap();
        let mut random = StdRng::seed_from_u64(3);
        let values: Vec<_> = (0..100).map(|_| plan.value(&mut random)).collect();
        assert!(values.iter().all(|value| value.len() == 40));
        assert_ne!(values[0], values[1]);
        assert_eq!(plan.endpoint(0).is_some(), plan.endpoint(7).is_some());
    }
}
