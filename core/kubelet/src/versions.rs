//! Which of two states of an object is the newer one.
//!
//! The watch may tell of one's own write after its answer came, or of somebody else's
//! before it: who compares with "the object as it is" has to know which of the two
//! that is. Versions of one object are ordered by number; they say nothing of another's.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Whether `one` is a later state than `other` of the same object. What the API has
/// not told of is older than anything.
pub(crate) fn is_newer(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    one.uid == other.uid && number(one) > number(other)
}

fn number(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_object_are_numbers() {
        let meta = |uid: &str, version: Option<&str>| ObjectMeta {
            uid: Some(uid.into()),
            resource_version: version.map(str::to_owned),
            ..ObjectMeta::default()
        };
        for (one, other, expected) in [
            (meta("u", Some("10")), meta("u", Some("9")), true),
            (meta("u", Some("9")), meta("u", Some("10")), false),
            (meta("u", Some("9")), meta("u", Some("9")), false),
            (meta("u", Some("1")), meta("u", None), true),
            (meta("u", None), meta("u", Some("1")), false),
            (meta("other", Some("10")), meta("u", Some("9")), false),
        ] {
            assert_eq!(is_newer(&one, &other), expected, "{one:?} {other:?}");
        }
    }
}
