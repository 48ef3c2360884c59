//! How many files may be open.

use std::io;

use crate::Result;

/// Lets this process and its children open as many files as the machine allows: the files of all
/// streams are open at once, here and in the collector.
pub fn allow_many() -> Result<()> {
    let mut limit = nix::libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: it writes to the value that it is given, which lives longer.
    if unsafe { nix::libc::getrlimit(nix::libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: it reads the value that it is given, which lives longer.
    if unsafe { nix::libc::setrlimit(nix::libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(())
}
