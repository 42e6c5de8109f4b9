//! Each broken variant must be caught within a bounded number of seeds, by what harms data: a cluster that merely
//! stops serving is not what its defect is about.

use std::panic::{AssertUnwindSafe, catch_unwind};

use roundtable_simulation::{Plan, Variant, run};

const SEEDS_MAX: u64 = 100;

/// The first seed and plan in which the variant is caught, and how.
fn caught(variant: Variant) -> Option<String> {
    let plans = (0..SEEDS_MAX).flat_map(|seed| Plan::all(seed).map(|(name, plan)| (seed, name, plan)));
    plans.into_iter().find_map(|(seed, name, plan)| {
        let plan = Plan { variant, ..plan };
        let by = match catch_unwind(AssertUnwindSafe(|| run(plan))) {
            Ok(Err(violation)) if violation.is_unsafe() => violation.to_string(),
            Ok(_) => return None,
            // An assertion in the code that ships catches as well as a property does.
            Err(_) => "an assertion of the product".to_owned(),
        };
        let by = by.split(':').next().unwrap_or_default();
        Some(format!("seed {seed} {name}, {by}"))
    })
}

#[test]
fn every_broken_variant_is_caught() {
    let escaped: Vec<Variant> = Variant::BROKEN
        .into_iter()
        .filter(|variant| {
            let caught = caught(*variant);
            println!("{variant}: {}", caught.as_deref().unwrap_or("not caught"));
            caught.is_none()
        })
        .collect();
    assert!(escaped.is_empty(), "not caught by {SEEDS_MAX} seeds: {escaped:?}");
}
