//! What a Pod says of its own logs, written to its log folder: an extended attribute
//! that the collector reads. So it is known of a Pod that is gone before anybody
//! asked the API server, and of one whose API server is away.

use std::{collections::BTreeMap, io, path::Path};

use k8s_openapi::api::core::v1::Pod;

/// A JSON object of the annotations whose names begin with [`PREFIX`].
const ATTRIBUTE: &str = "user.tiphys.logs";
const PREFIX: &str = "logs.tiphys.io/";

/// Writes it. An error says that the file system has no attributes, or no room in them.
pub(crate) fn say(pod: &Pod, folder: &Path) -> io::Result<()> {
    let annotations = pod.metadata.annotations.iter().flatten();
    let own: BTreeMap<_, _> = annotations.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    let written = xattr::set(folder, ATTRIBUTE, serde_json::to_string(&own)?.as_bytes());
    if written.is_err() {
        // Rather none than one of an earlier time.
        let _ = xattr::remove(folder, ATTRIBUTE);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_of_logs_are_written_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut pod = Pod::default();
        let read = || xattr::get(folder.path(), ATTRIBUTE).expect("read").map(String::from_utf8);
        say(&pod, folder.path()).expect("said");
        assert_eq!(read(), Some(Ok("{}".into())));
        let annotations = [("logs.tiphys.io/redact", "email\njwt"), ("example.com/secret", "x")];
        pod.metadata.annotations =
            Some(annotations.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        say(&pod, folder.path()).expect("said");
        assert_eq!(read(), Some(Ok(r#"{"logs.tiphys.io/redact":"email\njwt"}"#.into())));
    }
}
