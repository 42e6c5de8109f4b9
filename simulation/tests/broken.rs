//! Each broken variant must be caught within a bounded number of seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};

use roundtable_simulation::{Plan, Variant, run};

const SEEDS_MAX: u64 = 300;

fn seed_that_catches(variant: Variant) -> Option<u64> {
    (0..SEEDS_MAX).find(|seed| {
        let plan = Plan { variant, ..Plan::standard(*seed) };
        // An assertion in the code that ships catches as well as a property does.
        !matches!(catch_unwind(AssertUnwindSafe(|| run(plan))), Ok(Ok(_)))
    })
}

#[test]
fn every_broken_variant_is_caught() {
    for variant in Variant::BROKEN {
        match seed_that_catches(variant) {
            Some(seed) => println!("{variant}: caught by seed {seed}"),
            None => panic!("{variant}: not caught by {SEEDS_MAX} seeds"),
        }
    }
}
