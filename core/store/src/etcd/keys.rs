//! Where the store's keys stand in etcd. Pure.
//!
//! ```text
//! <prefix>/registry/pods/default/web    what the store's user keeps: its key, behind the prefix
//! <prefix>.tiphys/progress              the store's own, which its user never sees
//! ```
//!
//! The store's own keys sort directly before its user's, so that one watch of one
//! range sees both.

/// The store's own keys.
const OWN: &str = ".tiphys/";

/// Puts keys behind a prefix and takes them from there.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

/// From a key (included) to another one (excluded), as etcd wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub start: Vec<u8>,
    pub end: Vec<u8>,
}

impl Keys {
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The key in etcd of a key of the store.
    pub fn outer(&self, key: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), key.as_bytes()].concat()
    }

    /// The key of the store that is this one in etcd, unless it belongs to somebody else.
    pub fn inner(&self, outer: &[u8]) -> Option<String> {
        let key = outer.strip_prefix(self.prefix.as_bytes())?;
        std::str::from_utf8(key).ok().filter(|key| key.starts_with('/')).map(ToOwned::to_owned)
    }

    /// A key of the store's own.
    pub fn own(&self, name: &str) -> Vec<u8> {
        [self.prefix.as_bytes(), OWN.as_bytes(), name.as_bytes()].concat()
    }

    /// All that concerns the store: its own keys and its user's.
    pub fn all(&self) -> Span {
        Span { start: self.own(""), end: successor(&self.outer("/")) }
    }

    /// Keys that begin with `prefix`, behind `start_after`.
    pub fn span(&self, prefix: &str, start_after: Option<&str>) -> Span {
        let prefix = if prefix.is_empty() { "/" } else { prefix };
        let start = match start_after {
            Some(key) if key >= prefix => [&*self.outer(key), &[0]].concat(),
            _ => self.outer(prefix),
        };
        Span { start, end: successor(&self.outer(prefix)) }
    }
}

/// The first key that doesn't begin with `prefix` and is greater.
fn successor(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // etcd's word for "to the end".
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(span: &Span, key: &[u8]) -> bool {
        *span.start <= *key && *key < *span.end
    }

    #[test]
    fn keys_come_back_as_they_went() {
        for prefix in ["", "/clusters/a"] {
            let keys = Keys::new(prefix);
            let outer = keys.outer("/registry/pods/x");
            assert_eq!(keys.inner(&outer).as_deref(), Some("/registry/pods/x"));
            assert_eq!(keys.inner(&keys.own("progress")), None);
            assert!(within(&keys.all(), &outer) && within(&keys.all(), &keys.own("progress")));
        }
    }

    #[test]
    fn neighbours_keep_apart() {
        let keys = Keys::new("/a");
        for foreign in ["/ab/registry/x", "/a", "/b/x", "/a.other/x"] {
            assert_eq!(keys.inner(foreign.as_bytes()), None, "{foreign}");
            assert!(!within(&keys.all(), foreign.as_bytes()), "{foreign}");
        }
    }

    #[test]
    fn a_span_holds_its_prefix_and_nothing_else() {
        let keys = Keys::new("/a");
        let pods = keys.span("/pods/", None);
        assert!(within(&pods, b"/a/pods/x") && !within(&pods, b"/a/podsets/x"));
        let rest = keys.span("/pods/", Some("/pods/m"));
        assert!(!within(&rest, b"/a/pods/m") && within(&rest, b"/a/pods/m0") && within(&rest, b"/a/pods/n"));
        assert_eq!(keys.span("", None), keys.span("/", None));
        assert_eq!(successor(b"a\xff"), b"b");
        assert_eq!(successor(b"\xff"), [0]);
    }
}
