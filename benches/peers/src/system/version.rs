//! Which versions were measured.

use std::path::Path;
use std::process::Command;

use crate::system::Places;

/// Name and version of everything that takes part, as each program tells it.
pub(crate) fn versions(places: &Places) -> Vec<(String, String)> {
    let revision = first_line(Path::new("git"), &["describe", "--always", "--dirty"]);
    let roundtable = first_line(&places.bin_dir.join("roundtable"), &["--version"]);
    let redis = first_line(Path::new("redis-server"), &["--version"]);
    [
        ("Roundtable", format!("{roundtable} ({revision})")),
        ("etcd", first_line(Path::new("etcd"), &["--version"])),
        ("Redis", redis_version(&redis)),
        ("wrk", wrk_version(&first_line(Path::new("wrk"), &["-v"]))),
    ]
    .map(|(name, version)| (name.to_owned(), version))
    .into()
}

/// The first line that the program prints; why there is none, if there is none. `wrk` ends with an error here.
fn first_line(program: &Path, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().next().unwrap_or("unknown").trim().to_owned()
        }
        Err(error) => format!("unknown: {error}"),
    }
}

/// `Redis server v=7.0.15 sha=…` says more than is needed.
fn redis_version(line: &str) -> String {
    let words = line.split_ascii_whitespace();
    let version = words.filter_map(|word| word.strip_prefix("v=")).next();
    version.map_or_else(|| line.to_owned(), |version| format!("Redis server {version}"))
}

/// `wrk debian/4.1.0-3 [epoll] Copyright …`
fn wrk_version(line: &str) -> String {
    line.split(" Copyright").next().unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_cut_to_what_matters() {
        assert_eq!(redis_version("Redis server v=7.0.15 sha=0:0 malloc=x"), "Redis server 7.0.15");
        assert_eq!(
            wrk_version("wrk debian/4.1.0-3 [epoll] Copyright (C) 2012"),
            "wrk debian/4.1.0-3 [epoll]"
        );
        assert!(first_line(Path::new("/nonexistent"), &[]).starts_with("unknown"));
    }
}
