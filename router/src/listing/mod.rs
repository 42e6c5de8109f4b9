//! Listing keys: what is asked of which node, and what may be told from the answers.
//!
//! A page asks a majority of each partition's replicas for their keys in order. Their pages end at different
//! places, so only what lies before the smallest end is merged. A key whose reports agree on one accepted ballot is
//! told as reported; every other key, and every value that has ended, goes through a read of its own. The listing
//! as a whole is not a snapshot.

mod cursor;
mod item;
mod merge;
mod plan;
mod request;
mod scanner;

pub use cursor::Cursor;
pub use item::{Item, text_or_b64};
pub use merge::{Merged, MergedKey, Source, Verdict, merge};
pub use plan::{Ask, NoMajority, plan};
pub use request::{ListRequest, advance};
pub use scanner::{Page, Scanner};
