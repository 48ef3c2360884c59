//! What a process gives back once its role has started.
//!
//! A start runs code of every part, most of it never again, and the kernel maps more
//! around each page that is touched: most of an idle server's resident memory was this
//! binary. The mappings of code are dropped once; what still runs comes back from the
//! page cache at its next step, and the rest is no longer counted, nor in the way of
//! who looks for what can be reclaimed. Data is left alone.
//!
//! Source: proc_pid_smaps(5), madvise(2).

use std::{fs, io, ops::Range, path::Path, time::Duration};

use nix::sys::mman::{MmapAdvise, madvise};

/// After a start: caches are read, controllers have looked at everything once.
pub const AFTER: Duration = Duration::from_secs(15);

/// Drops the mapped pages of this program's code.
///
/// # Errors
/// /proc can't be read, or the kernel refuses.
pub fn drop_code() -> io::Result<()> {
    let program = fs::read_link("/proc/self/exe")?;
    for code in code_of(&program, &fs::read_to_string("/proc/self/smaps")?) {
        let start = std::ptr::NonNull::new(std::ptr::without_provenance_mut(code.start));
        let Some(start) = start else { continue };
        // SAFETY: the range is one private mapping of a file, readable and executable, of which no
        // page was ever written: each page comes back from the file as it was.
        unsafe { madvise(start, code.len(), MmapAdvise::MADV_DONTNEED) }?;
    }
    Ok(())
}

/// The program's mappings of code that nobody has written to: a debugger's breakpoints must stay.
fn code_of(program: &Path, smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        if let Some(range) = mapping(line) {
            let mut words = line.split_ascii_whitespace().skip(1);
            let is_code = words.next() == Some("r-xp");
            let path = words.skip(3).collect::<Vec<_>>().join(" ");
            current = (is_code && there(&path) == there(&program.to_string_lossy())).then_some(range);
        } else if let Some(written) = line.strip_prefix("Anonymous:") {
            let untouched = written.trim() == "0 kB";
            found.extend(current.take().filter(|_| untouched));
        }
    }
    found
}

/// The path of a file that may have been replaced meanwhile.
fn there(path: &str) -> &str {
    path.trim_end_matches(" (deleted)")
}

/// The range of a line that begins a mapping.
fn mapping(line: &str) -> Option<Range<usize>> {
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_what_is_executable_and_unwritten() {
        let smaps = "\
1000-2000 r--p 00000000 fe:00 7 /bin/my program
Anonymous:             0 kB
2000-5000 r-xp 00001000 fe:00 7 /bin/my program
Rss:                  12 kB
Anonymous:             0 kB
5000-6000 r-xp 00001000 fe:00 7 /bin/my program (deleted)
Anonymous:             4 kB
6000-7000 rw-p 00001000 fe:00 7 /bin/my program
Anonymous:             0 kB
8000-9000 r-xp 00000000 fe:00 8 /lib/other.so
Anonymous:             0 kB
";
        let code = |smaps: &str| code_of(Path::new("/bin/my program"), smaps);
        let expected = vec![Range { start: 0x2000, end: 0x5000 }];
        assert_eq!(code(smaps), expected);
        let deleted = smaps.replace("fe:00 7 /bin/my program\nRss", "fe:00 7 /bin/my program (deleted)\nRss");
        assert_eq!(code(&deleted), expected);
    }

    /// In a process of its own: what other tests run is mapped again meanwhile.
    #[test]
    fn less_code_is_mapped_afterwards_and_it_runs_on() {
        const INSIDE: &str = "TIPHYS_TEST_DROPPED_CODE";
        if std::env::var_os(INSIDE).is_none() {
            let output = std::process::Command::new(std::env::current_exe().expect("this test"))
                .args(["--exact", "settle::tests::less_code_is_mapped_afterwards_and_it_runs_on"])
                .env(INSIDE, "1")
                .output()
                .expect("it runs again");
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let resident = || {
            let smaps = fs::read_to_string("/proc/self/smaps").expect("smaps");
            let program = fs::read_link("/proc/self/exe").expect("a program");
            let own = code_of(&program, &smaps);
            let mut inside = false;
            let mut kilobytes = 0u64;
            for line in smaps.lines() {
                if let Some(range) = mapping(line) {
                    inside = own.contains(&range);
                } else if let Some(rss) = line.strip_prefix("Rss:").filter(|_| inside) {
                    kilobytes += rss.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
                }
            }
            kilobytes
        };
        // Maps much: what runs here is little of a binary with all parts in it.
        let _ = tiphys_api::schema::of("io.k8s.api.core.v1.Pod");
        let before = resident();
        drop_code().expect("dropped");
        let after = resident();
        assert!(after < before, "{before} kB were mapped, {after} kB are now");
    }
}
