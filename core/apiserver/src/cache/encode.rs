//! Bytes of lists and bookmarks.

/// Kind and apiVersion of the list: `PodList`, `v1`.
pub struct ListHead<'a> { pub api_version: &'a str, pub kind: &'a str }

/// The bytes of a list, in chunks of about 64 KB, an Iterator<Item = Bytes>.
pub struct ListChunks;
impl ListChunks { pub fn new(head: ListHead<'_>, result: ListResult) -> Self; }

/// A bookmark's line: kind and apiVersion of the object, and its revision.
pub fn bookmark_line(api_version: &str, kind: &str, revision: Revision, initial_events_end: bool) -> Bytes;
