//! What the requests are: operations and their shares, values, and how keys are drawn.
//!
//! YCSB's workloads are those of Cooper et al., "Benchmarking Cloud Serving Systems with YCSB", SoCC 2010, table 2, with
//! the read-modify-write workload F that the tool added later.

use rand::{Rng, RngExt as _};

use crate::bench::args::{BenchArgs, Distribution, Workload};
use crate::failure::Failure;

/// How steep YCSB's zipfian distribution is.
const THETA: f64 = 0.99;

/// One kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A key is read.
    Get,
    /// A key is written.
    Put,
    /// A key is written that was never written before.
    Insert,
    /// Some keys in a row are read, with their values.
    Scan,
    /// A key is read and then written, if nobody else wrote it in between; again until it succeeds.
    ReadModifyWrite,
}

impl Kind {
    /// All, in the order in which reports show them.
    pub(crate) const ALL: [Self; 5] = [Self::Get, Self::Put, Self::Insert, Self::Scan, Self::ReadModifyWrite];
}

/// The shares of the kinds, in percent.
pub(crate) type Mix = &'static [(Kind, u8)];

/// A workload with everything that follows from its name and the options beside it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    shares: [u8; Kind::ALL.len()],
    pub(crate) distribution: Distribution,
    pub(crate) theta: f64,
    pub(crate) keys: u64,
    pub(crate) value_bytes: u32,
}

impl Workload {
    /// Shares, distribution and value size of one of YCSB's.
    fn of_ycsb(self) -> Option<(Mix, Distribution)> {
        Some(match self {
            Self::Put | Self::Get | Self::Mixed => return None,
            Self::YcsbA => (&[(Kind::Get, 50), (Kind::Put, 50)], Distribution::Zipfian),
            Self::YcsbB => (&[(Kind::Get, 95), (Kind::Put, 5)], Distribution::Zipfian),
            Self::YcsbC => (&[(Kind::Get, 100)], Distribution::Zipfian),
            Self::YcsbD => (&[(Kind::Get, 95), (Kind::Insert, 5)], Distribution::Latest),
            Self::YcsbE => (&[(Kind::Scan, 95), (Kind::Insert, 5)], Distribution::Zipfian),
            Self::YcsbF => (&[(Kind::Get, 50), (Kind::ReadModifyWrite, 50)], Distribution::Zipfian),
        })
    }
}

impl Shape {
    /// What the options ask for.
    ///
    /// # Errors
    /// When an option does not go with another one.
    pub(crate) fn new(args: &BenchArgs) -> Result<Self, Failure> {
        if args.reads.is_some() && args.workload != Workload::Mixed {
            return Err(refuse(
                "--reads goes with --workload mixed alone; the other workloads have shares of their own",
            ));
        }
        let ycsb = args.workload.of_ycsb();
        if ycsb.is_some() && args.distribution.is_some() {
            return Err(refuse(
                "YCSB's workloads have distributions of their own: --distribution goes with --workload put, get or mixed",
            ));
        }
        let distribution =
            ycsb.map_or(args.distribution.unwrap_or(Distribution::Uniform), |(_, distribution)| distribution);
        let is_steep = matches!(distribution, Distribution::Zipfian | Distribution::Latest);
        if args.theta.is_some() && !is_steep {
            return Err(refuse("--theta goes with the distributions zipfian and latest"));
        }
        let shares = match (ycsb, args.workload, args.reads.unwrap_or(95)) {
            (Some((mix, _)), _, _) => of_mix(mix),
            (None, Workload::Put, _) => of_mix(&[(Kind::Put, 100)]),
            (None, Workload::Get, _) => of_mix(&[(Kind::Get, 100)]),
            (None, _, reads) => of_mix(&[(Kind::Get, reads), (Kind::Put, 100 - reads)]),
        };
        Ok(Self {
            shares,
            distribution,
            theta: args.theta.unwrap_or(THETA),
            keys: if distribution == Distribution::Hot { 1 } else { args.keys },
            value_bytes: args.value_bytes.unwrap_or(if ycsb.is_some() { 1000 } else { 100 }),
        })
    }

    /// Reads alone, of keys drawn like this.
    #[cfg(test)]
    pub(crate) fn of_reads(distribution: Distribution, keys: u64) -> Self {
        Self { shares: of_mix(&[(Kind::Get, 100)]), distribution, theta: THETA, keys, value_bytes: 100 }
    }

    /// What comes next.
    pub(crate) fn draw(&self, random: &mut impl Rng) -> Kind {
        let mut left: u8 = random.random_range(0..100);
        for (kind, share) in Kind::ALL.into_iter().zip(self.shares) {
            match left.checked_sub(share) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        Kind::Get
    }
}

fn of_mix(mix: &[(Kind, u8)]) -> [u8; Kind::ALL.len()] {
    Kind::ALL.map(|kind| mix.iter().filter(|(of, _)| *of == kind).map(|(_, share)| share).sum())
}

fn refuse(text: &str) -> Failure {
    Failure::Usage(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::cli::{Cli, Command};

    fn shape(options: &str) -> Result<Shape, Failure> {
        let arguments = ["roundtable", "bench"].into_iter().chain(options.split_whitespace());
        let Command::Bench(args) = Cli::try_parse_from(arguments).unwrap().command else { panic!("a bench") };
        Shape::new(&args)
    }

    #[test]
    fn workloads_of_ycsb_are_those_of_the_paper() {
        // Shares in percent: get, put, insert, scan, read-modify-write.
        let table = [
            ("ycsb-a", [50, 50, 0, 0, 0], Distribution::Zipfian),
            ("ycsb-b", [95, 5, 0, 0, 0], Distribution::Zipfian),
            ("ycsb-c", [100, 0, 0, 0, 0], Distribution::Zipfian),
            ("ycsb-d", [95, 0, 5, 0, 0], Distribution::Latest),
            ("ycsb-e", [0, 0, 5, 95, 0], Distribution::Zipfian),
            ("ycsb-f", [50, 0, 0, 0, 50], Distribution::Zipfian),
        ];
        for (name, shares, distribution) in table {
            let shape = shape(&format!("--workload {name}")).unwrap();
            assert_eq!(shape.shares, shares, "{name}");
            assert_eq!(
                (shape.distribution, shape.theta, shape.value_bytes),
                (distribution, 0.99, 1000),
                "{name}"
            );
        }
    }

    #[test]
    fn kinds_come_in_their_shares() {
        let shape = shape("--workload mixed --reads 80").unwrap();
        let mut random = StdRng::seed_from_u64(5);
        let reads = (0..100_000).filter(|_| shape.draw(&mut random) == Kind::Get).count();
        assert!((79_000..81_000).contains(&reads), "{reads}");
        let puts = super::tests::shape("--workload put").unwrap();
        assert!((0..1000).all(|_| puts.draw(&mut random) == Kind::Put));
    }

    #[test]
    fn hot_is_one_key() {
        assert_eq!(shape("--distribution hot --workload put").unwrap().keys, 1);
    }

    #[test]
    fn options_that_do_not_go_together_are_refused_with_what_would() {
        for (options, said) in [
            ("--workload get --reads 50", "mixed"),
            ("--workload ycsb-a --distribution uniform", "put, get or mixed"),
            ("--theta 0.5", "zipfian and latest"),
        ] {
            let Err(Failure::Usage(text)) = shape(options) else { panic!("{options} was taken") };
            assert!(text.contains(said), "{options}: {text}");
        }
        for options in ["--workload ycsb-a --theta 0.5 --value-bytes 7", "--distribution latest --theta 1.2"]
        {
            assert!(shape(options).is_ok(), "{options}");
        }
    }
}
