//! Keys, ring, wire bodies, configuration and telemetry shared by Roundtable's binaries.
