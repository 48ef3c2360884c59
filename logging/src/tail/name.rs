//! The names under /var/log/pods, as the kubelet gives them:
//! `<namespace>_<pod>_<uid>/<container>/<restart>.log`, rotated `<restart>.log.<timestamp>`,
//! and compressed `<restart>.log.<timestamp>.gz`.

/// Namespace, Pod, UID. None of the first two can hold a `_`.
pub fn pod_dir(name: &str) -> Option<(&str, &str, &str)> {
    let mut parts = name.splitn(3, '_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    (!namespace.is_empty() && !pod.is_empty() && !uid.is_empty()).then_some((namespace, pod, uid))
}

/// The restart count and, of a rotated file, what was appended; a compressed one has the same as
/// the file it was made of. What is still being compressed (`.tmp`) is none of ours.
pub fn log_file(name: &str) -> Option<(u32, Option<&str>)> {
    let (number, rest) = name.split_once(".log")?;
    let restart = number.parse().ok()?;
    if rest.is_empty() {
        return Some((restart, None));
    }
    let suffix = rest.strip_prefix('.')?;
    let suffix = original(suffix).unwrap_or(suffix);
    // The kubelet compresses no file twice, and none that is written to.
    let is_other = suffix.is_empty() || suffix == "gz" || original(suffix).is_some();
    (!is_other && !suffix.ends_with(".tmp")).then_some((restart, Some(suffix)))
}

/// Of a compressed file, the name of the one it was made of.
pub fn original(name: &str) -> Option<&str> {
    name.strip_suffix(".gz")
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
        assert_eq!(log_file("12.log.20260131-120000.gz"), log_file("12.log.20260131-120000"));
        assert_eq!(original("0.log.x.gz"), Some("0.log.x"));
        assert_eq!(original("0.log.x"), None);
        let unfinished = ["0.log.x.tmp", "0.log.x.tmp.gz", "0.log.x.gz.tmp"];
        let others = ["0.log.gz", "0.log..gz", "0.log.x.gz.gz", "0.logs", "x.log", "0.txt", "0.log."];
        for other in unfinished.into_iter().chain(others) {
            assert_eq!(log_file(other), None, "{other}");
        }
    }
}
