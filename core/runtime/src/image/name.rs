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

/// What every registry and runtime takes for a full reference; `Err` says what is wrong.
pub(super) fn check(full: &str) -> Result<(), &'static str> {
    let (path, digest) = match full.split_once('@') {
        Some((path, digest)) => (path, Some(digest)),
        None => (full, None),
    };
    let (registry, rest) = path.split_once('/').ok_or("it has no path")?;
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (rest, None),
    };
    let host = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
    if !registry.chars().all(host) {
        return Err("the registry is a host name, perhaps with a port");
    }
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        part.starts_with(lower)
            && part.ends_with(lower)
            && part.chars().all(|c| lower(c) || "._-".contains(c))
    };
    if !repository.split('/').all(part) {
        return Err("its path may hold lower-case letters, digits and, inside, dots, dashes and underscores");
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let tag_fits = |tag: &str| {
        tag.starts_with(word) && tag.len() <= 128 && tag.chars().all(|c| word(c) || ".-".contains(c))
    };
    if !tag.is_none_or(tag_fits) {
        return Err("its tag may hold 128 letters, digits, dots, dashes and underscores");
    }
    let digest_fits = |digest: &str| {
        digest.split_once(':').is_some_and(|(kind, hex)| {
            !kind.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
        })
    };
    if !digest.is_none_or(digest_fits) {
        return Err("its digest is an algorithm, a colon and hexadecimal digits");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_that_no_runtime_takes_are_refused() {
        let check = |name: &str, good: bool| {
            assert_eq!(super::check(&super::normalize(name)).is_ok(), good, "{name}");
        };
        for name in ["web", "web:1", "example.org/a/b_c.d-e:V1.2", "localhost:5000/web", "web:_x"] {
            check(name, true);
        }
        check(&format!("web@sha256:{}", "ab".repeat(32)), true);
        for name in
            ["", "UPPER", "a b", "web:", "web:a b", "-web", "web/", "a//b", "ex_ample.org/web", "web@x"]
        {
            check(name, false);
        }
    }

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
