//! Micro-benchmarks of Roundtable's core.
