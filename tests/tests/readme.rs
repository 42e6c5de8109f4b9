//! The README's first steps, run as written.
//!
//! A `console` block holds commands after `$ ` and below each what it prints; `…` stands for any text in a line.

use std::process::Command;

use roundtable_tests::{Cluster, checkout, program};

/// Where the README's cluster listens.
const ROUTER: &str = "127.0.0.1:7400";

/// Printed between two commands of a block.
const SEPARATOR: char = '\u{1e}';

#[derive(Debug, Default)]
struct Step {
    command: String,
    prints: Vec<String>,
}

/// The document's `console` blocks.
fn blocks(text: &str) -> Vec<Vec<Step>> {
    let mut blocks: Vec<Vec<Step>> = Vec::new();
    let mut in_console = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
            blocks.extend(in_console.then(Vec::new));
        } else if let Some(block) = blocks.last_mut().filter(|_| in_console) {
            match (line.strip_prefix("$ "), block.last_mut()) {
                (Some(command), _) => block.push(Step { command: command.to_owned(), prints: Vec::new() }),
                (None, Some(step)) => step.prints.push(line.to_owned()),
                (None, None) => {}
            }
        }
    }
    blocks
}

/// All commands of a block for one shell, so that they share its variables.
fn script(block: &[Step]) -> String {
    let commands = block.iter().map(|step| format!("{}\nprintf '{SEPARATOR}'\n", step.command));
    format!("set -e\n{}", commands.collect::<String>())
}

/// Whether a line is as the README has it.
fn fits(pattern: &str, line: &str) -> bool {
    let parts: Vec<&str> = pattern.split('…').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return pattern == line };
    let inner = line.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    let found =
        middle.iter().try_fold(inner, |rest, part| Some(rest?.split_once(part).map(|(_, after)| after)));
    found.flatten().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn first_steps_print_what_the_readme_says() {
    let text = std::fs::read_to_string(checkout().join("README.md")).unwrap();
    let cluster = Cluster::start().await;
    let router = cluster.router(1);
    let programs = program("roundtable").parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());

    let blocks = blocks(&text);
    assert!(blocks.len() >= 4, "{blocks:?}");
    for block in blocks {
        let ran = Command::new("bash")
            .args(["-c", &script(&block).replace(ROUTER, router.address())])
            .env("PATH", &path)
            .current_dir(cluster.folder())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&ran.stderr);
        let printed = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{block:#?}\n{printed}\n{errors}");
        for (step, printed) in block.iter().zip(printed.split(SEPARATOR)) {
            let printed: Vec<&str> = printed.lines().collect();
            let same = step.prints.len() == printed.len()
                && step.prints.iter().zip(&printed).all(|(pattern, line)| fits(pattern, line));
            assert!(same, "{step:#?}\nprinted {printed:#?}\n{errors}");
        }
    }
}

#[test]
fn ellipsis_stands_for_any_text() {
    for (pattern, line, same) in [
        ("ETag: \"…\"", "ETag: \"0123\"", true),
        ("ETag: \"…\"", "ETag: 0123", false),
        ("{…}", "{\"a\":1}", true),
        ("a…", "abc", true),
        ("a…", "a", true),
        ("a…c", "abcd", false),
        ("same", "same", true),
        ("same", "same ", false),
    ] {
        assert_eq!(fits(pattern, line), same, "{pattern:?} {line:?}");
    }
}
