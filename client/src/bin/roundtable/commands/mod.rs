//! Commands that make one or a few calls.

pub(crate) mod completions;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod increment;
pub(crate) mod list;
pub(crate) mod locate;
pub(crate) mod new_key;
pub(crate) mod put;
mod range;
pub(crate) mod status;
pub(crate) mod touch;

use roundtable_client::{Condition, ETag};

/// "Exists", "stands at this ETag", or nothing: the conditions of a delete and a touch.
fn match_condition(if_match: Option<ETag>) -> Condition {
    if_match.map_or(Condition::Always, Condition::Matches)
}
