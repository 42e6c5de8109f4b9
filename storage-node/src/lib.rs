//! The storage node of Roundtable: RocksDB, replication log and replica server.
