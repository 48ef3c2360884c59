//! Which versions of etcd can be worked with. Pure.
//!
//! Requests for progress of a watch would need 3.4.31 or 3.5.13: before, their
//! answer may run ahead of events that are still to come, and a cache that trusts
//! it misses them. Debian 12 has 3.4.23, so this store never asks for progress; it
//! takes it from the events of one watch over everything (see `progress.rs`).

/// What the store thinks of a version.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    /// It works; the operator should know.
    Doubtful(&'static str),
    Refused(String),
}

/// The oldest that splits large answers of a watch into fragments.
const OLDEST: (u32, u32) = (3, 4);

pub fn judge(version: &str) -> Verdict {
    match parse(version) {
        None => Verdict::Refused(format!("its version {version:?} can't be understood")),
        Some((major, minor, _)) if (major, minor) < OLDEST => {
            Verdict::Refused(format!("version {version} is too old: use 3.4 or later"))
        }
        Some((3, 5, 0..=2)) => Verdict::Doubtful("etcd 3.5.0 to 3.5.2 may corrupt its data when killed"),
        Some(_) => Verdict::Fine,
    }
}

fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let release = version.split(['-', '+']).next()?;
    let mut parts = release.split('.').map(|part| part.parse::<u32>().ok());
    Some((parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged() {
        for fine in ["3.4.23", "3.5.13", "3.6.0-rc.1", "3.7.0", "4.0"] {
            assert_eq!(judge(fine), Verdict::Fine, "{fine}");
        }
        assert!(matches!(judge("3.5.1"), Verdict::Doubtful(_)));
        for refused in ["3.3.27", "2.3.8", "", "new"] {
            assert!(matches!(judge(refused), Verdict::Refused(_)), "{refused}");
        }
    }
}
