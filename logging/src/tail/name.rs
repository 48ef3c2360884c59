//! The names under /var/log/pods, as the kubelet gives them:
//! `<namespace>_<pod>_<uid>/<container>/<restart>.log` and, rotated,
//! `<restart>.log.<timestamp>`.

/// Namespace, Pod, UID. None of the first two can hold a `_`.
pub fn pod_dir(name: &str) -> Option<(&str, &str, &str)> {
    let mut parts = name.splitn(3, '_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    (!namespace.is_empty() && !pod.is_empty() && !uid.is_empty()).then_some((namespace, pod, uid))
}

/// The restart count and, of a rotated file, what was appended. Compressed and
/// unfinished files are none of ours: who was there when they were made read the rotated one.
pub fn log_file(name: &str) -> Option<(u32, Option<&str>)> {
    let (number, rest) = name.split_once(".log")?;
    let restart = number.parse().ok()?;
    match rest.strip_prefix('.') {
        None if rest.is_empty() => Some((restart, None)),
        Some(suffix) if !suffix.is_empty() && !suffix.ends_with(".gz") && !suffix.ends_with(".tmp") => {
            Some((restart, Some(suffix)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_kubelet() {
        assert_eq!(pod_dir("default_web-1_0a-b_c"), Some(("default", "web-1", "0a-b_c")));
        assert_eq!(pod_dir("default_web-1"), None);
        assert_eq!(pod_dir("_x_y"), None);
        assert_eq!(log_file("0.log"), Some((0, None)));
        assert_eq!(log_file("12.log.20260131-120000"), Some((12, Some("20260131-120000"))));
        for other in ["0.log.20260131-120000.gz", "0.log.x.tmp", "0.logs", "x.log", "0.txt", "0.log."] {
            assert_eq!(log_file(other), None, "{other}");
        }
    }
}
