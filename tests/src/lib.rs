//! End-to-end tests of Roundtable: real processes, faults, HTTP.
