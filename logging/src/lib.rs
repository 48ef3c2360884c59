//! Logs: tail, parse, index, search, retention.
