//! Revisions, transactions, watch, compaction and leases over bytes.
