//! Tests of the replica: rules told as short scripts, and random histories with crashes against a specification.

#![expect(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")]

mod histories;
mod rules;
mod shell;
