//! Each broken variant must be caught within a bounded number of seeds, by what harms data: a cluster that merely
//! stops serving is not what its defect is about.

use std::panic::{AssertUnwindSafe, catch_unwind};

use roundtable_simulation::{Plan, Variant, run};

const SEEDS_MAX: u64 = 400;

fn seed_that_catches(variant: Variant) -> Option<(u64, String)> {
    let plans = (0..SEEDS_MAX).flat_map(|seed| {
        [Plan::harsh(seed), Plan::restless(seed), Plan::fleeting(seed)].map(|plan| (seed, plan))
    });
    plans.into_iter().find_map(|(seed, plan)| {
        let plan = Plan { variant, ..plan };
        match catch_unwind(AssertUnwindSafe(|| run(plan))) {
            Ok(Err(violation)) if violation.is_unsafe() => Some((seed, violation.to_string())),
            Ok(_) => None,
            // An assertion in the code that ships catches as well as a property does.
            Err(_) => Some((seed, "an assertion of the product".to_owned())),
        }
    })
}

#[test]
fn every_broken_variant_is_caught() {
    for variant in Variant::BROKEN {
        match seed_that_catches(variant) {
            Some((seed, by)) => println!("{variant}: seed {seed}, {}", by.lines().next().unwrap_or_default()),
            None => panic!("{variant}: not caught by {SEEDS_MAX} seeds"),
        }
    }
}
