//! Tests of the choice of the first configuration: situations told as scripts, and all orders of events.

mod orders;
mod scripts;
mod world;
