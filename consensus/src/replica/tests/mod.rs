//! Tests of the replica: rules told as short scripts, and random histories with crashes against a specification.

mod histories;
mod rules;
mod shell;
