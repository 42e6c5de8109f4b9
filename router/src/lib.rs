//! The stateless HTTP router of Roundtable.
