//! Installing by the commands of `docs/operations.md`, and the units under a real systemd.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use roundtable_tests::{Finished, Machine, checkout, eventually, program};
use tempfile::TempDir;

const UNITS: [&str; 4] =
    ["roundtable-node@n1", "roundtable-node@n2", "roundtable-node@n3", "roundtable-router"];

/// The code blocks for a shell in a section of the operators' document.
fn shell_blocks(section: &str) -> Vec<String> {
    let document = std::fs::read_to_string(checkout().join("docs/operations.md")).unwrap();
    let (_, text) = document.split_once(&format!("\n## {section}\n")).unwrap();
    let text = text.split("\n## ").next().unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

/// The folder that `make` builds into, with the programs that this test belongs to.
fn target_folder() -> PathBuf {
    program("roundtable-node").ancestors().nth(2).unwrap().to_owned()
}

fn stage(folder: &Path) -> Finished {
    let output = Command::new("make")
        .arg("install")
        .arg("PREFIX=/usr")
        .arg(format!("DESTDIR={}", folder.display()))
        .env("CARGO_TARGET_DIR", target_folder())
        .current_dir(checkout())
        .output()
        .unwrap();
    output.into()
}

/// Every file below a folder, relative to it.
fn files(folder: &Path) -> BTreeSet<String> {
    let listed = Command::new("find").args([".", "-type", "f"]).current_dir(folder).output().unwrap();
    String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_prefix("./"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn staged_installation_holds_the_product_and_nothing_else() {
    let folder = TempDir::with_prefix("roundtable-test-").unwrap();
    stage(folder.path()).must_end_with(0);
    let (documents, others): (BTreeSet<String>, BTreeSet<String>) =
        files(folder.path()).into_iter().partition(|name| name.starts_with("usr/share/doc/roundtable/"));
    let expected = [
        "etc/roundtable/cluster.toml",
        "etc/roundtable/node.toml",
        "etc/roundtable/router.toml",
        "usr/bin/roundtable",
        "usr/bin/roundtable-node",
        "usr/bin/roundtable-router",
        "usr/lib/systemd/system/roundtable-node@.service",
        "usr/lib/systemd/system/roundtable-router.service",
        "usr/lib/sysusers.d/roundtable.conf",
    ];
    assert_eq!(others, expected.map(str::to_owned).into());
    assert!(documents.contains("usr/share/doc/roundtable/operations.md"), "{documents:?}");

    for unit in ["roundtable-node@.service", "roundtable-router.service"] {
        let unit = std::fs::read_to_string(folder.path().join("usr/lib/systemd/system").join(unit)).unwrap();
        let words = unit.split(|c: char| c.is_whitespace() || matches!(c, '=' | ':'));
        for named in words.filter_map(|word| word.strip_prefix("/usr/")) {
            let installed = folder.path().join("usr").join(named);
            assert!(installed.is_file(), "/usr/{named} is named and not installed");
        }
    }
}

#[test]
fn installing_again_keeps_the_settings_of_the_operator() {
    let folder = TempDir::with_prefix("roundtable-test-").unwrap();
    stage(folder.path()).must_end_with(0);
    let settings = folder.path().join("etc/roundtable/node.toml");
    std::fs::write(&settings, "shards = 3\n").unwrap();
    let said = stage(folder.path()).must_end_with(0).text();
    assert!(said.contains("node.toml is kept as it is"), "{said}");
    assert_eq!(std::fs::read_to_string(settings).unwrap(), "shards = 3\n");
}

#[test]
fn units_leave_every_setting_to_the_files() {
    for (unit, settings) in
        [("roundtable-node@.service", "node.toml"), ("roundtable-router.service", "router.toml")]
    {
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        let unit = read(checkout().join("config/systemd").join(unit));
        let settings = read(checkout().join("config").join(settings));
        let given: Vec<&str> = unit
            .lines()
            .filter(|line| line.starts_with("ExecStart"))
            .flat_map(|line| line.split_whitespace().filter_map(|word| word.strip_prefix("--")))
            .collect();
        assert!(given.contains(&"config"), "{given:?}");
        for flag in given {
            let key = format!("#{} = ", flag.replace('-', "_"));
            assert!(
                !settings.lines().any(|line| line.starts_with(&key)),
                "--{flag} silences the file's {flag}"
            );
        }
    }
}

/// Waits until nodes and router are ready, by the router's own word.
async fn ready(machine: &Machine) {
    for port in [7411, 7412, 7413, 7499] {
        eventually(&format!("127.0.0.1:{port} is ready"), async || {
            let asked = machine.run(&format!("curl -sS -m 5 --fail http://127.0.0.1:{port}/readyz"));
            (asked.code == Some(0)).then_some(())
        })
        .await;
    }
}

fn property(machine: &Machine, unit: &str, name: &str) -> String {
    machine.must(&format!("systemctl show --property {name} --value '{unit}'")).trim().to_owned()
}

#[tokio::test]
async fn documented_installation_works_under_systemd() {
    let target = target_folder();
    let machine = match Machine::boot(&[&checkout(), &target]).await {
        Ok(machine) => machine,
        Err(error) => return println!("SKIPPED: the units were not started, no systemd of its own: {error}"),
    };
    let blocks = shell_blocks("Installing");
    let [build, install, start, ..] = &blocks[..] else { panic!("{blocks:?}") };
    // Built already: this test's programs are.
    assert_eq!(build, "make build\n");
    let checkout = checkout();
    let folders = format!("export CARGO_TARGET_DIR='{}'; cd '{}'\n", target.display(), checkout.display());
    machine.must(&format!("{folders}{install}"));

    let units = UNITS.map(|unit| format!("{unit}.service")).join(" ");
    let verified = machine.run(&format!("systemd-analyze verify --man=no {units}")).must_end_with(0);
    assert_eq!((verified.text().as_str(), verified.stderr.as_str()), ("", ""));

    // An operator's own settings, which the units must not silence. Small, because the disk is in memory.
    machine.must(
        "echo 'listen = \"127.0.0.1:7499\"' >> /etc/roundtable/router.toml
         printf 'write_buffer = \"8 MiB\"\nfree_bytes_min = \"64 MiB\"\n' >> /etc/roundtable/node.toml",
    );
    machine.must(start);
    ready(&machine).await;
    machine.must("roundtable put --router http://127.0.0.1:7499 greeting hello");

    // A killed process is started again, with its data.
    machine.must("systemctl kill --signal KILL roundtable-node@n1 roundtable-router");
    for unit in ["roundtable-node@n1", "roundtable-router"] {
        eventually(&format!("{unit} was started again"), async || {
            (property(&machine, unit, "NRestarts") == "1").then_some(())
        })
        .await;
    }
    ready(&machine).await;
    let value = machine.must("roundtable get --router http://127.0.0.1:7499 greeting");
    assert_eq!(value, "hello");

    for unit in UNITS {
        // No privileges, a filter of system calls, and a user of its own.
        let pid = property(&machine, unit, "MainPID");
        let status = machine.must(&format!("cat /proc/{pid}/status"));
        for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000000"] {
            assert!(status.contains(line), "{unit}: {line:?} is not in: {status}");
        }
        let user = if unit == "roundtable-router" { "roundtable-router" } else { "roundtable" };
        assert_eq!(machine.must(&format!("id -un $(stat -c %u /proc/{pid})")).trim(), user, "{unit}");
    }
    let owner = machine.must("stat -c '%U %a' /var/lib/roundtable/n1");
    assert_eq!(owner, "roundtable 700\n");

    machine.must(&format!("systemctl stop {units}"));
    for unit in UNITS {
        let ended = ["Result", "ExecMainCode", "ExecMainStatus"].map(|name| property(&machine, unit, name));
        // CLD_EXITED, code 0.
        assert_eq!(ended, ["success", "1", "0"], "{unit}");
    }
}
