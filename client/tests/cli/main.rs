//! The command line as a process: one program of tests, linked once.

mod commands;
mod support;
mod up;
