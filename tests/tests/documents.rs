//! The documents tell the truth about the files around them.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use roundtable_tests::checkout;

/// The files of the project: those that are tracked, and new ones that are not ignored.
fn project_files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(checkout())
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    names.split_terminator('\0').map(|name| checkout().join(name)).filter(|path| path.is_file()).collect()
}

fn documents() -> Vec<(PathBuf, String)> {
    let is_document = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let read = |path: PathBuf| (path.clone(), std::fs::read_to_string(path).unwrap());
    project_files().into_iter().filter(is_document).map(read).collect()
}

/// The lines of a document outside of its code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of a line's Markdown links.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// The anchor that a heading gets: lowercase, spaces as hyphens, without punctuation.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    prose(text).filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn document_links_resolve() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for (path, text) in documents() {
        for target in prose(&text).flat_map(links) {
            if target.starts_with("http://") || target.starts_with("https://") {
                continue;
            }
            checked += 1;
            let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
            let found = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let resolves = found.exists()
                && (fragment.is_empty()
                    || anchors(&std::fs::read_to_string(&found).unwrap()).contains(fragment));
            if !resolves {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(checked > 10, "only {checked} links found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn document_files_named_in_the_code_map_exist() {
    let text = std::fs::read_to_string(checkout().join("ARCHITECTURE.md")).unwrap();
    let mut missing = Vec::new();
    for name in text.split('`').skip(1).step_by(2) {
        let is_path = name.contains('/') && !name.contains([' ', '{', '*', '<']) && !name.starts_with('/');
        if is_path && !checkout().join(name).exists() {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn document_make_targets_exist() {
    let makefile = std::fs::read_to_string(checkout().join("Makefile")).unwrap();
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(": ").or(line.split_once(":\n")))
        .map(|(name, _)| name)
        .collect();
    let mut unknown = Vec::new();
    for (path, text) in documents() {
        for line in text.lines() {
            // A command: at the start of a line of a code block, or in backquotes.
            let commands =
                line.split('`').chain([line]).filter_map(|part| part.trim_start().strip_prefix("make "));
            for target in commands.filter_map(|rest| rest.split_whitespace().next()) {
                let is_name =
                    target.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit());
                let prose = !line.contains('`') && !line.starts_with("make ");
                if is_name && !prose && !targets.contains(target) {
                    unknown.push(format!("{}: make {target}", path.display()));
                }
            }
        }
    }
    assert!(targets.contains("up") && targets.contains("test"), "{targets:?}");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

/// The commands in a document's code blocks, with continued lines joined.
fn commands(text: &str) -> Vec<String> {
    let mut in_code = false;
    let code = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        in_code && !fence
    });
    code.collect::<Vec<_>>().join("\n").replace("\\\n", "").lines().map(str::to_owned).collect()
}

#[test]
fn document_commands_send_every_header_that_they_show() {
    // curl leaves a header out whose value is empty, so an empty variable would make a conditional write unconditional.
    let mut checked = 0;
    let mut unsafe_ones = Vec::new();
    for (path, text) in documents() {
        for command in commands(&text) {
            for (_, value) in
                command.match_indices("-H \"").filter_map(|(at, _)| command[at..].split_once(": "))
            {
                let value = value.split('"').next().unwrap();
                checked += 1;
                if value.contains('$') && !(value.starts_with("${") && value.ends_with(":?}")) {
                    unsafe_ones.push(format!("{}: {command}", path.display()));
                }
            }
        }
    }
    assert!(checked > 5, "only {checked} headers found");
    assert!(unsafe_ones.is_empty(), "{}", unsafe_ones.join("\n"));
}

#[test]
fn document_commands_that_must_not_happen_twice_have_a_key() {
    let mut checked = 0;
    let mut without = Vec::new();
    for (path, text) in documents() {
        for command in commands(&text).into_iter().filter(|command| command.contains("curl ")) {
            let must_not_repeat = ["op=increment", "If-Match", "If-None-Match: *"];
            if must_not_repeat.iter().any(|part| command.contains(part)) {
                checked += 1;
                if !command.contains("Idempotency-Key: ") {
                    without.push(format!("{}: {command}", path.display()));
                }
            }
        }
    }
    assert!(checked > 5, "only {checked} commands found");
    assert!(without.is_empty(), "{}", without.join("\n"));
}

#[test]
fn document_of_decisions_lists_every_record() {
    let index = std::fs::read_to_string(checkout().join("docs/adr/README.md")).unwrap();
    let records =
        std::fs::read_dir(checkout().join("docs/adr")).unwrap().map(|entry| entry.unwrap().file_name());
    let unlisted: Vec<_> = records
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name != "README.md" && !index.contains(&format!("({name})")))
        .collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

#[test]
fn document_of_tests_lists_every_file() {
    let text = std::fs::read_to_string(checkout().join("docs/testing.md")).unwrap();
    let tests = std::fs::read_dir(checkout().join("tests/tests")).unwrap();
    let names = tests.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let unlisted: Vec<String> =
        names.filter(|name| !text.contains(&format!("`tests/tests/{name}`"))).collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

#[test]
fn project_files_name_no_particular_machine() {
    // Written in pieces, so that this file does not name them either.
    let forbidden = ["/root", "/home", "/work", "/Users"].map(|folder| format!("{folder}/"));
    let mut found = Vec::new();
    for path in project_files() {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            let names_one = forbidden.iter().any(|folder| {
                line.match_indices(folder).any(|(at, _)| {
                    // As a part of a longer relative path or of a URL it is another matter.
                    !line[..at]
                        .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '*'))
                })
            });
            if names_one {
                found.push(format!("{}:{number}: {line}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn shell_scripts_parse() {
    let is_script = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sh");
    let scripts: Vec<PathBuf> =
        project_files().into_iter().filter(is_script).chain([checkout().join(".ci/run")]).collect();
    for script in scripts {
        let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
