//! How many huge pages a group may have, by the files of its `hugetlb` controller: each size has
//! `hugetlb.2MB.max`, on version 1 `hugetlb.2MB.limit_in_bytes`, and on newer kernels one for what is
//! reserved, `hugetlb.2MB.rsvd.max`. By that one a program that asks for too many is told so; by the first
//! alone it ends with SIGBUS when it touches them. So both have the same limit.
//!
//! Sizes are those that the kernel has files for: a group without the controller has none. On a kernel
//! without files for what is reserved, a size that isn't named stays unlimited: programs try huge pages
//! unasked, as PostgreSQL does, and would end with SIGBUS where they can go on with small ones.

use std::{collections::BTreeMap, fs, io, path::Path};

/// The most of each size, in bytes by the size in bytes; none of a size that isn't named, where a program
/// that asks for it is told so.
pub type HugePages = BTreeMap<u64, u64>;

/// Every file is written, even if one before was refused; the first error is returned.
pub(super) fn limit(folder: &Path, is_unified: bool, most: &HugePages) -> io::Result<()> {
    let ending = if is_unified { "max" } else { "limit_in_bytes" };
    let mut first = Ok(());
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(size) = name.and_then(|name| size_limited(name, ending)) {
            let bytes = match most.get(&size) {
                Some(bytes) => *bytes,
                None if folder.join(of_reserved(name.unwrap_or_default(), ending)).exists() => 0,
                None => continue,
            };
            first = first.and(fs::write(&path, bytes.to_string()));
        }
    }
    first
}

/// The file that limits what is reserved of the size that a file of this name limits, which may be itself.
/// Pure.
fn of_reserved(name: &str, ending: &str) -> String {
    let size = name.strip_suffix(ending).unwrap_or(name);
    format!("{}rsvd.{ending}", size.strip_suffix("rsvd.").unwrap_or(size))
}

/// The size of the pages, in bytes, that a file of this name limits. Pure.
fn size_limited(name: &str, ending: &str) -> Option<u64> {
    let size = name.strip_prefix("hugetlb.")?.strip_suffix(ending)?.strip_suffix('.')?;
    let size = size.strip_suffix(".rsvd").unwrap_or(size);
    let (number, unit) = size.split_at_checked(size.len().checked_sub(2)?)?;
    let unit = match unit {
        "KB" => 1_u64 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::{Hierarchy, Limits};

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_file_of_a_limit_tells_its_size() {
        let table = [
            ("hugetlb.2MB.max", "max", Some(2 * MIB)),
            ("hugetlb.1GB.rsvd.max", "max", Some(1024 * MIB)),
            ("hugetlb.64KB.limit_in_bytes", "limit_in_bytes", Some(64 << 10)),
            ("hugetlb.2MB.rsvd.limit_in_bytes", "limit_in_bytes", Some(2 * MIB)),
            ("hugetlb.2MB.max_usage_in_bytes", "limit_in_bytes", None),
            ("hugetlb.2MB.current", "max", None),
            ("hugetlb.max", "max", None),
            ("hugetlb.MB.max", "max", None),
            ("memory.max", "max", None),
        ];
        for (name, ending, expected) in table {
            assert_eq!(size_limited(name, ending), expected, "{name}");
        }
    }

    #[test]
    fn without_a_limit_of_what_is_reserved_only_named_sizes_are_limited() {
        assert_eq!(of_reserved("hugetlb.2MB.max", "max"), "hugetlb.2MB.rsvd.max");
        assert_eq!(of_reserved("hugetlb.2MB.rsvd.max", "max"), "hugetlb.2MB.rsvd.max");
        let folder = tempfile::tempdir().expect("a folder");
        for (is_unified, ending) in [(true, "max"), (false, "limit_in_bytes")] {
            let path = |size: &str| folder.path().join(format!("hugetlb.{size}.{ending}"));
            let sizes = ["64KB", "2MB", "1GB", "1GB.rsvd"];
            for size in sizes {
                fs::write(path(size), "before").expect("written");
            }
            limit(folder.path(), is_unified, &HugePages::from([(2 * MIB, 64 * MIB)])).expect("limited");
            let read = sizes.map(|size| fs::read_to_string(path(size)).expect("there"));
            assert_eq!(read, ["before", "67108864", "0", "0"], "{ending}");
            assert!(!path("2MB.rsvd").exists() && !path("64KB.rsvd").exists(), "{ending}");
        }
    }

    #[test]
    fn a_group_has_the_pages_that_it_is_given_and_no_others() {
        let root = tempfile::tempdir().expect("a folder");
        let check = |hierarchy: &Hierarchy, ending: &str| {
            let folder = root.path().join("pod");
            fs::create_dir(&folder).expect("made");
            let sizes = ["2MB", "2MB.rsvd", "1GB", "1GB.rsvd"];
            let limited = sizes.map(|size| format!("hugetlb.{size}.{ending}"));
            let others = ["hugetlb.2MB.current".to_owned(), "memory.high".to_owned()];
            for name in limited.iter().chain(&others) {
                fs::write(folder.join(name), "before").expect("written");
            }
            let read = |names: &[String]| -> Vec<String> {
                names.iter().map(|name| fs::read_to_string(folder.join(name)).expect("there")).collect()
            };
            hierarchy.limit("/pod", &Limits::default()).expect("nothing to do");
            assert_eq!(read(&limited), ["before"; 4], "{ending}");
            let huge_pages = Some(HugePages::from([(2 * MIB, 64 * MIB), (16 * MIB, 16 * MIB)]));
            hierarchy.limit("/pod", &Limits { huge_pages, ..Limits::default() }).expect("limited");
            assert_eq!(read(&limited), ["67108864", "67108864", "0", "0"], "{ending}");
            assert_eq!(read(&others), ["before"; 2], "{ending}");
            fs::remove_dir_all(&folder).expect("removed");
        };
        check(&Hierarchy::V2(root.path().to_owned()), "max");
        let v1 = |controller: &str| Hierarchy::V1([(controller.to_owned(), root.path().to_owned())].into());
        check(&v1("hugetlb"), "limit_in_bytes");
        // A machine that doesn't have the controller, or has nothing of it mounted.
        let limits = Limits { huge_pages: Some(HugePages::new()), ..Limits::default() };
        v1("memory").limit("/pod", &limits).expect("nothing to do");
        fs::create_dir(root.path().join("pod")).expect("made");
        Hierarchy::V2(root.path().to_owned()).limit("/pod", &limits).expect("nothing to do");
    }
}
