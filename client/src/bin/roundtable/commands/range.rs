//! Which keys a command is about.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use clap::Args;
use roundtable_client::Listing;

/// A range of keys.
#[derive(Debug, Args)]
pub(crate) struct RangeArgs {
    /// Only keys that begin with this
    #[arg(long)]
    prefix: Option<OsString>,

    /// Only keys from this one on
    #[arg(long, value_name = "KEY")]
    start: Option<OsString>,

    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    end: Option<OsString>,

    /// Only keys with this tag, the text in their first {braces}: one partition answers
    #[arg(long)]
    tag: Option<OsString>,
}

impl RangeArgs {
    /// The range for the client.
    pub(crate) fn listing(self) -> Listing {
        let mut listing = Listing::new();
        if let Some(prefix) = self.prefix {
            listing = listing.prefix(prefix.into_vec());
        }
        if let Some(start) = self.start {
            listing = listing.start(start.into_vec());
        }
        if let Some(end) = self.end {
            listing = listing.end(end.into_vec());
        }
        if let Some(tag) = self.tag {
            listing = listing.tag(tag.into_vec());
        }
        listing
    }
}
