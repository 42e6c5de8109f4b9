//! Which routers a command asks, and for how long.

use std::time::Duration;

use clap::Args;
use roundtable_client::Client;

use crate::duration;
use crate::failure::Failure;

/// Which routers to ask.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Routers {
    /// A router's address; repeat it for more, which stand in for one another
    #[arg(
        long = "router",
        value_name = "URL",
        env = "ROUNDTABLE_ROUTERS",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7400"
    )]
    pub(crate) addresses: Vec<String>,
}

impl Routers {
    /// A client of all the routers, beginning with the first, whose calls try for this long.
    pub(crate) fn client(&self, timeout: Duration) -> Result<Client, Failure> {
        let builder = Client::builder().deadline(timeout).first_router(0);
        Ok(self.addresses.iter().fold(builder, roundtable_client::ClientBuilder::router).build()?)
    }
}

/// Which routers to ask, and for how long.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connect {
    #[command(flatten)]
    pub(crate) routers: Routers,

    /// How long to try in all before giving up (ms, s, m, h, d)
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub(crate) timeout: Duration,
}

impl Connect {
    /// A client of all the routers.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        self.routers.client(self.timeout)
    }

    /// A client of one of the routers.
    pub(crate) fn client_of(&self, router: &str) -> Result<Client, Failure> {
        let builder = Client::builder().router(router).deadline(self.timeout);
        Ok(builder.attempt_timeout(self.timeout.min(Duration::from_secs(2))).build()?)
    }
}
