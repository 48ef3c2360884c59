//! How many threads work at the same time.

use std::{num::NonZero, sync::LazyLock, thread::available_parallelism};

/// The processor's cores that the process may use; asked once, as it is read from files.
pub fn cores() -> usize {
    static CORES: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, NonZero::get));
    *CORES
}
