//! Tests of the choice of the first configuration.
