//! Questions that are answered and forgotten: who a token is, what a user may do, where a Pod goes.
//!
//! They are created only; the API server answers each by name and stores none.

use crate::{kind::Kind, validate::names};

const CREATE: &[&str] = &["create"];
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

const fn cluster(group: &'static str, kind: [&'static str; 3], definition: &'static str) -> Kind {
    let base = Kind::cluster(group, "v1", kind[0], kind[1], kind[2], definition);
    Kind { verbs: CREATE, validate_name: names::path_segment, ..base }
}

/// A Pod's node, written by a scheduler. The newer way is the subresource of the Pod.
pub static BINDING: Kind = Kind {
    verbs: CREATE,
    ..Kind::namespaced("", "v1", "Binding", "bindings", "binding", "io.k8s.api.core.v1.Binding")
};

pub static TOKEN_REVIEW: Kind = cluster(
    AUTHENTICATION,
    ["TokenReview", "tokenreviews", "tokenreview"],
    "io.k8s.api.authentication.v1.TokenReview",
);

pub static SELF_SUBJECT_REVIEW: Kind = cluster(
    AUTHENTICATION,
    ["SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview"],
    "io.k8s.api.authentication.v1.SelfSubjectReview",
);

pub static SUBJECT_ACCESS_REVIEW: Kind = cluster(
    AUTHORIZATION,
    ["SubjectAccessReview", "subjectaccessreviews", "subjectaccessreview"],
    "io.k8s.api.authorization.v1.SubjectAccessReview",
);

pub static SELF_SUBJECT_ACCESS_REVIEW: Kind = cluster(
    AUTHORIZATION,
    ["SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview"],
    "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
);

pub static SELF_SUBJECT_RULES_REVIEW: Kind = cluster(
    AUTHORIZATION,
    ["SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview"],
    "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
);

pub static LOCAL_SUBJECT_ACCESS_REVIEW: Kind = Kind {
    verbs: CREATE,
    ..Kind::namespaced(
        AUTHORIZATION,
        "v1",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        "io.k8s.api.authorization.v1.LocalSubjectAccessReview",
    )
};
