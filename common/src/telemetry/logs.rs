//! Structured logs on standard error.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

/// The flags and environment variables of logging, for every binary alike.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// Form of the log lines on standard error
    #[arg(long, env = "ROUNDTABLE_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What to log: error, warn, info, debug or trace, or directives such as "info,roundtable_router=debug"
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub log_level: String,
}

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum LogSetupError {
    /// The filter can't be understood.
    #[error(
        "{filter:?} is not a log level or filter: accepted are error, warn, info, debug, trace, and directives"
    )]
    Filter {
        /// The filter as given.
        filter: String,
        /// What was wrong with it.
        #[source]
        source: ParseError,
    },
    /// Logging was set up before.
    #[error("logging is set up already")]
    Twice(#[from] TryInitError),
}

/// Sends this process's logs to standard error from now on. Once per process.
///
/// # Errors
/// When the filter can't be understood, or logging was set up before.
pub fn init(args: &LogArgs) -> Result<(), LogSetupError> {
    let refused = |source| LogSetupError::Filter { filter: args.log_level.clone(), source };
    let filter = EnvFilter::try_new(&args.log_level).map_err(refused)?;
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr);
    match args.log_format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).finish().try_init()?,
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        log: LogArgs,
    }

    #[test]
    fn log_flags_are_read() {
        let line = Line::try_parse_from(["x", "--log-format", "json", "--log-level", "debug"]).unwrap();
        assert_eq!((line.log.log_format, line.log.log_level.as_str()), (LogFormat::Json, "debug"));
        assert!(Line::try_parse_from(["x", "--log-format", "xml"]).is_err());
    }

    #[test]
    fn log_filter_that_cannot_be_understood_is_refused_by_name() {
        let args = LogArgs { log_format: LogFormat::Text, log_level: "loud=very=much".into() };
        let refused = init(&args).unwrap_err();
        assert!(refused.to_string().contains("loud=very=much"), "{refused}");
    }
}
