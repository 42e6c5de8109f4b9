//! `roundtable new-key`.

use roundtable_client::IdempotencyKey;

use crate::failure::Failure;
use crate::output;

pub(crate) fn run() -> Result<(), Failure> {
    output::print_line(IdempotencyKey::generate().as_str())
}
