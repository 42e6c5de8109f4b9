//! Exit codes.

use std::process::ExitCode;

/// What the process says when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    Failure,
    Usage,
    NotFound,
    Condition,
    Unavailable,
    InDoubt,
    Records,
    Process,
    Interrupted,
}

/// The table under `--help`. A test compares it with the enum.
pub(crate) const HELP: &str = "\
Exit codes:
  0  success
  1  failed for another reason, such as a file that cannot be read or a request that the router refused
  2  the command line is wrong
  3  the key does not exist
  4  the condition does not hold: --if-match, --create, --replace
  5  the cluster did not answer in time, and nothing was changed; try again later
  6  in doubt: the write may have been applied; the message says how to learn
  7  some records were not imported or exported; each was reported
  8  a process of the local cluster ended or did not get ready
  130  an import, an export or a measurement was ended by Ctrl-C or another signal";

impl Exit {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 10] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::NotFound,
        Self::Condition,
        Self::Unavailable,
        Self::InDoubt,
        Self::Records,
        Self::Process,
        Self::Interrupted,
    ];

    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Condition => 4,
            Self::Unavailable => 5,
            Self::InDoubt => 6,
            Self::Records => 7,
            Self::Process => 8,
            // As shells show a process that Ctrl-C ended.
            Self::Interrupted => 130,
        }
    }

    /// What the help says of it.
    #[cfg(test)]
    pub(crate) fn meaning(self) -> &'static str {
        let label = format!("  {}  ", self.code());
        HELP.lines().find_map(|line| line.strip_prefix(&label)).unwrap_or_default()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_gives_every_code_a_meaning() {
        for exit in Exit::ALL {
            assert!(!exit.meaning().is_empty(), "{exit:?}");
        }
    }
}
