//! The dashboard's server, with the UI embedded.
