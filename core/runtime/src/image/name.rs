//! Image references in full: as Docker and CRI complete what a person writes.

/// `web` is `docker.io/library/web:latest`; a registry is what holds a dot, a
/// colon, or is `localhost`.
pub fn normalize(name: &str) -> String {
    let (path, digest) = match name.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (name, None),
    };
    let has_registry =
        path.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost");
    let mut full = match (has_registry, path.contains('/')) {
        (true, _) => path.to_owned(),
        (false, true) => format!("docker.io/{path}"),
        (false, false) => format!("docker.io/library/{path}"),
    };
    let tagged = full.rsplit('/').next().is_some_and(|last| last.contains(':'));
    if let Some(digest) = digest {
        full.push('@');
        full.push_str(digest);
    } else if !tagged {
        full.push_str(":latest");
    }
    full
}

#[cfg(test)]
mod tests {
    #[test]
    fn references_are_completed() {
        let check = |name, full: &str| assert_eq!(super::normalize(name), full, "{name}");
        check("web", "docker.io/library/web:latest");
        check("web:1", "docker.io/library/web:1");
        check("me/web:1", "docker.io/me/web:1");
        check("localhost/web", "localhost/web:latest");
        check("localhost:5000/web", "localhost:5000/web:latest");
        check("tiphys.io/pause:0.1.0", "tiphys.io/pause:0.1.0");
        check("web@sha256:ab", "docker.io/library/web@sha256:ab");
    }
}
