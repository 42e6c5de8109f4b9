//! Reads the command line of a program.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::{Command, Parser};

/// Reads the process's command line. An environment variable that is set to nothing counts as unset.
///
/// Ends the process, with a message, when the command line is wrong or asks for help.
#[must_use]
pub fn parse<P: Parser>() -> P {
    from(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// Reads this command line.
///
/// # Errors
/// When it is wrong or asks for help.
pub fn from<P: Parser>(line: impl IntoIterator<Item = OsString>) -> Result<P, clap::Error> {
    let mut command = without_empty_variables(P::command());
    let matches = command.try_get_matches_from_mut(line)?;
    P::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Lets no argument take its value from a variable that is empty: scripts and service managers unset variables so.
fn without_empty_variables(command: Command) -> Command {
    command
        .mut_args(|argument| {
            let value = argument.get_env().and_then(std::env::var_os);
            if value.is_some_and(|value| value.is_empty()) {
                argument.env(Resettable::Reset)
            } else {
                argument
            }
        })
        .mut_subcommands(without_empty_variables)
}
