//! Listing keys: what is asked of which node, and what may be told from the answers.
//!
//! A page asks a majority of each partition's replicas for their keys in order. Their pages end at different
//! places, so only what lies before the smallest end is merged. A key whose reports agree on one accepted ballot is
//! told as reported; every other key, and every value that has expired, goes through a read of its own. Deleted keys
//! come folded into digests; where these differ, the keys are asked for one by one. The listing as a whole is not a
//! snapshot.

mod assembly;
mod count;
mod cursor;
mod gather;
mod item;
mod merge;
mod plan;
mod remove;
mod request;
mod scanner;

pub use assembly::{Assembly, Closer};
pub use count::count;
pub use cursor::Cursor;
pub use item::{Item, text_or_b64};
pub use merge::{Merged, MergedKey, Source, Verdict, merge};
pub use plan::{Ask, NoMajority, plan};
pub use remove::{Removal, Removed};
pub use request::{ListRequest, advance};
pub use scanner::{Found, Page, Scanner};
