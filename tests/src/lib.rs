//! The test harness and the suites that use it.
