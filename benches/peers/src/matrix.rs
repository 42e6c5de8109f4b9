//! Which cases a run consists of.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::case::{Case, Distribution, Operation};

/// The size that tables of targets and plots are about.
pub(crate) const MAIN_VALUE_BYTES: u32 = 1024;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Matrix {
    /// 1 KiB, uniform keys: put, get and a hot key over 1, 64 and 256 connections
    Quick,
    /// The quick one with 95:5, and 16 connections but for the hot key; at 64 connections zipfian keys; values of 100 B
    Standard,
    /// Every combination
    Full,
}

/// Which cases of the matrix are left in; all, if nothing is said.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Selection {
    /// Only these operations
    #[arg(long, value_enum, value_delimiter = ',')]
    operations: Vec<Operation>,
    /// Only these numbers of connections
    #[arg(long, value_delimiter = ',')]
    connections: Vec<u32>,
    /// Only these sizes of values, in bytes
    #[arg(long, value_delimiter = ',')]
    values: Vec<u32>,
    /// Only these distributions of keys
    #[arg(long, value_enum, value_delimiter = ',')]
    distributions: Vec<Distribution>,
}

impl Selection {
    /// Whether it leaves everything in.
    pub(crate) fn is_everything(&self) -> bool {
        self.operations.is_empty()
            && self.connections.is_empty()
            && self.values.is_empty()
            && self.distributions.is_empty()
    }

    fn admits(&self, case: &Case) -> bool {
        fn among<T: PartialEq>(list: &[T], item: &T) -> bool {
            list.is_empty() || list.contains(item)
        }
        among(&self.operations, &case.operation)
            && among(&self.connections, &case.connections)
            && among(&self.values, &case.value_bytes)
            && among(&self.distributions, &case.distribution)
    }
}

impl Matrix {
    /// The cases in the order in which they run: reads first, while the data is as it was loaded.
    pub(crate) fn cases(self, selection: &Selection) -> Vec<Case> {
        let mut cases: Vec<Case> =
            every_case().filter(|case| self.contains(case)).filter(|case| selection.admits(case)).collect();
        cases.sort();
        cases
    }

    fn contains(self, case: &Case) -> bool {
        let is_main = case.value_bytes == MAIN_VALUE_BYTES && case.distribution == Distribution::Uniform;
        match self {
            Self::Full => true,
            Self::Quick => is_main && case.operation != Operation::Mixed && case.connections != 16,
            Self::Standard => match (case.value_bytes, case.distribution) {
                (MAIN_VALUE_BYTES, Distribution::Uniform) => {
                    case.operation != Operation::Hot || case.connections != 16
                }
                (MAIN_VALUE_BYTES, Distribution::Zipfian) => case.connections == 64,
                (_, Distribution::Zipfian) => false,
                (_, Distribution::Uniform) => match case.operation {
                    Operation::Get | Operation::Put => case.connections != 16,
                    Operation::Mixed => case.connections == 64,
                    Operation::Hot => false,
                },
            },
        }
    }
}

fn every_case() -> impl Iterator<Item = Case> {
    let operations = [Operation::Get, Operation::Mixed, Operation::Put, Operation::Hot];
    let distributions = [Distribution::Uniform, Distribution::Zipfian];
    let of_operation = move |value_bytes, operation| {
        distributions
            .into_iter()
            .filter(move |distribution| operation != Operation::Hot || *distribution == Distribution::Uniform)
            .flat_map(move |distribution| {
                [1, 16, 64, 256].map(|connections| Case { value_bytes, operation, distribution, connections })
            })
    };
    [MAIN_VALUE_BYTES, 100].into_iter().flat_map(move |bytes| {
        operations.into_iter().flat_map(move |operation| of_operation(bytes, operation))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_grow() {
        let all = Selection::default();
        let [quick, standard, full] =
            [Matrix::Quick, Matrix::Standard, Matrix::Full].map(|matrix| matrix.cases(&all));
        assert_eq!([quick.len(), standard.len(), full.len()], [9, 25, 56]);
        assert!(quick.iter().all(|case| standard.contains(case)));
        assert!(standard.iter().all(|case| full.contains(case)));
    }

    #[test]
    fn selection_leaves_in_what_it_names() {
        let selection = Selection {
            operations: vec![Operation::Put],
            connections: vec![64],
            distributions: vec![Distribution::Uniform],
            ..Selection::default()
        };
        let cases = Matrix::Standard.cases(&selection);
        assert_eq!(cases.len(), 2, "{cases:?}");
        assert!(!selection.is_everything() && Selection::default().is_everything());
    }

    #[test]
    fn reads_come_before_writes() {
        let cases = Matrix::Full.cases(&Selection::default());
        let of_a_size: Vec<_> = cases.iter().filter(|case| case.value_bytes == 100).collect();
        assert!(of_a_size.is_sorted_by_key(|case| case.operation));
        assert_eq!(of_a_size[0].operation, Operation::Get);
    }
}
