//! Logs and metrics: how every binary tells what it does.

mod logs;
mod metrics;
mod process;
mod recurring;

pub use logs::{LogArgs, LogFormat, LogSetupError, init};
pub use metrics::{METRICS_CONTENT_TYPE, Service, encode, metric_names, registry};
pub use recurring::Recurring;
