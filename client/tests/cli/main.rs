//! The command line as a process: one program of tests, linked once.

mod bench;
mod commands;
mod files;
mod interrupts;
mod support;
mod transfer;
mod up;
