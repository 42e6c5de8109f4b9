//! The command line's grammar.

use clap::{Parser, Subcommand};

use crate::{bench, commands, exit, transfer, up};

/// Roundtable: a persistent, replicated key-value store without a leader.
#[derive(Debug, Parser)]
#[command(name = "roundtable", version, propagate_version = true, after_help = exit::HELP, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a cluster on this machine until Ctrl-C; the data stays in a folder
    Up(up::UpArgs),
    /// Write a key's value to standard output or a file
    Get(commands::get::GetArgs),
    /// Store a value from the command line, a file or standard input; prints the new ETag
    Put(commands::put::PutArgs),
    /// Delete a key, or all keys of a range
    Delete(commands::delete::DeleteArgs),
    /// Add to a counter; prints the new value
    Increment(commands::increment::IncrementArgs),
    /// Give a key a new time to live; prints the new ETag
    Touch(commands::touch::TouchArgs),
    /// List keys in byte order, or count them
    List(commands::list::ListArgs),
    /// Store every record of an NDJSON, CSV or TSV file
    Import(transfer::import::ImportArgs),
    /// Write keys and values as NDJSON, CSV or TSV, in key order
    Export(transfer::export::ExportArgs),
    /// Show the routers' readiness and the nodes' health
    Status(commands::status::StatusArgs),
    /// Show which nodes hold a key and what each of them has
    Where(commands::locate::WhereArgs),
    /// Print a new idempotency key, for a write with curl that may be repeated
    NewKey,
    /// Measure throughput, latency and CPU time under load
    Bench(bench::BenchArgs),
    /// Print a completion script for a shell
    Completions(commands::completions::CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::exit::Exit;

    const REFERENCE: &str = include_str!("../../../../docs/cli.md");

    #[test]
    fn grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn reference_describes_every_command_and_option() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let heading = format!("## `roundtable {name}`");
            let section = REFERENCE
                .split("\n## ")
                .find(|section| heading.starts_with(&format!("## {}", section.lines().next().unwrap())));
            let section = section.unwrap_or_else(|| panic!("docs/cli.md lacks {heading:?}"));
            for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
                let Some(long) = argument.get_long() else { continue };
                let everywhere = ["help", "version", "router", "timeout"].contains(&long);
                let text = if everywhere { REFERENCE } else { section };
                assert!(text.contains(&format!("`--{long}")), "docs/cli.md lacks --{long} of {name}");
            }
        }
    }

    #[test]
    fn reference_and_help_list_every_exit_code() {
        let help = Cli::command().render_long_help().to_string();
        for exit in Exit::ALL {
            let (code, meaning) = (exit.code(), exit.meaning());
            assert!(
                REFERENCE.contains(&format!("| {code} | {meaning} |")),
                "docs/cli.md lacks exit code {code}"
            );
            assert!(help.contains(&format!("{code}  ")), "--help lacks exit code {code}");
        }
    }

    #[test]
    fn every_command_explains_itself() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
