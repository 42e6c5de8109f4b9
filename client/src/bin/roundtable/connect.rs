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
    /// A router's address; several, repeated or with commas between them, stand in for one another
    #[arg(
        long = "router",
        value_name = "URL",
        env = "ROUNDTABLE_ROUTERS",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7400"
    )]
    given: Vec<String>,
}

impl Routers {
    /// The addresses as given. What is empty between, before and after commas is left out.
    ///
    /// # Errors
    /// When nothing is left.
    pub(crate) fn addresses(&self) -> Result<Vec<&str>, Failure> {
        let addresses: Vec<&str> =
            self.given.iter().map(|address| address.trim()).filter(|address| !address.is_empty()).collect();
        if addresses.is_empty() {
            return Err(Failure::Usage(
                "--router (or ROUNDTABLE_ROUTERS) names no router; expected http://HOST:PORT, or several with commas \
                 between them"
                    .to_owned(),
            ));
        }
        Ok(addresses)
    }

    /// A client of all the routers, beginning with the first, whose calls try for this long.
    pub(crate) fn client(&self, timeout: Duration) -> Result<Client, Failure> {
        let builder = Client::builder().deadline(timeout).first_router(0);
        Ok(self.addresses()?.into_iter().fold(builder, roundtable_client::ClientBuilder::router).build()?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_elements_of_the_list_of_routers_are_left_out() {
        let addresses = |given: &str| {
            let routers = Routers { given: given.split(',').map(str::to_owned).collect() };
            routers.addresses().map(|addresses| addresses.join(" ")).map_err(|error| error.to_string())
        };
        for given in ["http://a:1,http://b:2", "http://a:1,http://b:2,", ",http://a:1,, http://b:2 "] {
            assert_eq!(addresses(given).as_deref(), Ok("http://a:1 http://b:2"), "{given}");
        }
        for given in ["", ",", " "] {
            assert!(addresses(given).unwrap_err().contains("names no router"), "{given}");
        }
    }
}
