//! How many instructions a put and a get cost in the core, counted by callgrind, against `benches/instructions.toml`.
//!
//! Unlike times, counts hardly depend on what else the machine does, so that a regression shows in one run. They do
//! depend a little on the compiler and on which instructions the processor has: hence the tolerance.

use std::process::Command;

use roundtable_benches::figures::{self, TOLERANCE_PERCENT, Verdict};
use roundtable_benches::path::KEYS;

const FIGURES: &str = include_str!("../instructions.toml");

/// Two runs of different length: what both have, such as the start, cancels out.
const OPERATIONS: [u64; 2] = [KEYS, 2 * KEYS];

/// Instructions of a whole run, out of what callgrind says at its end: `Collected : 123`.
fn instructions_of_run(kind: &str, operations: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args([env!("CARGO_BIN_EXE_instructions"), kind, &operations.to_string()])
        .output()
        .unwrap_or_else(|error| panic!("cannot run valgrind ({error}): `make setup` installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let collected =
        said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, number)| number.trim());
    collected.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no count in: {said}"))
}

fn instructions_per_operation(kind: &str) -> u64 {
    let [short, long] = OPERATIONS.map(|operations| instructions_of_run(kind, operations));
    (long - short) / (OPERATIONS[1] - OPERATIONS[0])
}

/// Counts, and says how the figure stands.
///
/// # Panics
/// When it is a regression.
fn stands(kind: &str) -> String {
    let figures =
        figures::parse(FIGURES).unwrap_or_else(|error| panic!("benches/instructions.toml: {error}"));
    let committed = figures.get(kind).unwrap_or_else(|| panic!("benches/instructions.toml lacks [{kind}]"));
    let (committed, measured) = (committed.instructions, instructions_per_operation(kind));
    let change = format!("a {kind} costs {measured} instructions in the core, {committed} are committed");
    match figures::judge(committed, measured) {
        Verdict::Kept => change,
        Verdict::Improved => format!(
            "{change}: more than {TOLERANCE_PERCENT} % better. Please write `instructions = {measured}` under [{kind}] \
             in benches/instructions.toml, with the reason, so that it cannot be lost again unseen."
        ),
        Verdict::Regressed => panic!(
            "{change}: more than {TOLERANCE_PERCENT} % worse. If that is what the change must cost, write \
             `instructions = {measured}` under [{kind}] in benches/instructions.toml, with the reason, and commit it \
             with the change. To see where they go: valgrind --tool=callgrind {} {kind} {}, then callgrind_annotate.",
            env!("CARGO_BIN_EXE_instructions"),
            OPERATIONS[1]
        ),
    }
}

#[test]
#[ignore = "needs valgrind; a step of its own in `make test`, and `make instructions`"]
fn put_costs_what_is_committed() {
    println!("{}", stands("put"));
}

#[test]
#[ignore = "needs valgrind; a step of its own in `make test`, and `make instructions`"]
fn get_costs_what_is_committed() {
    println!("{}", stands("get"));
}
