//! Controllers, one file each, on one reconcile runtime.
