//! What a power cut leaves of a store, at any moment and in either mode, is one that starts and has what it must have.

mod image;
mod model;
mod power_cut;
