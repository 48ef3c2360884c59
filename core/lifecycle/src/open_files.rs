//! How many files a process may have open.
//!
//! Who starts programs gives them a low limit, often 1,024, that they may raise themselves up
//! to a higher one; it is low for the sake of select(2), which nothing here uses. Log files,
//! connections and blocks on disk take many more. Some programs go through all numbers up to the
//! limit, so who starts what isn't Tiphys' own can take it back there.

use std::{io, sync::OnceLock};

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// What this process was started with, once that was raised.
static FORMER: OnceLock<rlim_t> = OnceLock::new();

/// Lets this process open as many files as it may allow itself. To be called first: what depends
/// on the limit looks at it once.
///
/// # Errors
/// The kernel refuses; the limit is as it was.
pub fn allow_many_files() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        FORMER.get_or_init(|| soft);
    }
    Ok(())
}

/// Takes [`allow_many_files`] back, in a child that is about to become another program. It may
/// be called between fork and exec: it asks the kernel, and nothing else.
///
/// # Errors
/// The kernel refuses.
pub fn limit_files_as_before() -> io::Result<()> {
    let Some(former) = FORMER.get() else { return Ok(()) };
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard.min(*former), hard)?)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::*;

    const INSIDE: &str = "TIPHYS_TEST_OPEN_FILES";

    /// The limit that a program sees which is started here.
    fn seen(command: &mut Command) -> String {
        let output = command.args(["-c", "ulimit -S -n"]).output().expect("a shell");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// In a process of its own: the limit is that of all threads.
    #[test]
    fn the_limit_is_raised_for_this_process_and_not_for_other_programs() {
        if std::env::var_os(INSIDE).is_none() {
            let output = Command::new("sh")
                .args(["-c", "ulimit -S -n 100 && exec \"$0\" --exact \"$1\""])
                .arg(std::env::current_exe().expect("this test"))
                .arg("open_files::tests::the_limit_is_raised_for_this_process_and_not_for_other_programs")
                .env(INSIDE, "1")
                .output()
                .expect("a shell");
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let limits = || getrlimit(Resource::RLIMIT_NOFILE).expect("limits");
        let (soft, hard) = limits();
        assert!(soft == 100 && hard > 100, "{soft} {hard}");
        allow_many_files().expect("raised");
        assert_eq!(limits(), (hard, hard));
        // Once more changes nothing, nor what there was before.
        allow_many_files().expect("raised");
        let mut other = Command::new("sh");
        // SAFETY: it is made for this place.
        unsafe { other.pre_exec(limit_files_as_before) };
        assert_eq!(seen(&mut other), "100");
        assert_ne!(seen(&mut Command::new("sh")), "100");
    }
}
