//! Whether a user may: RBAC, the Node authorizer, reviews, and what all of this
//! reads of the cluster.
//!
//! ```text
//! Rbac::new(objects: Arc<dyn Objects>) -> Arc<Rbac>      implements tiphys_api::auth::Authorizer
//! rbac.rebuild()                                         after a change of roles, clusterroles or their bindings
//! rbac.rules(&UserInfo, namespace) -> Vec<Value>         what SelfSubjectRulesReview shows
//! forbidden(&UserInfo, &Attributes, reason) -> Refusal   the 403 of an Err of authorize
//! check_escalation(&Rbac, &UserInfo, resource, namespace, &new, old: Option<&Value>) -> Result<(), Refusal>
//!                                                        before a role or binding is written (create, update, patch, apply)
//! review(&dyn Authorizer, &Rbac, kind, namespace, &UserInfo, object: Value) -> Result<Value, Refusal>
//!                                                        SubjectAccessReview, LocalSubject..., SelfSubject..., SelfSubjectRulesReview
//! bootstrap::objects() -> Vec<Value>                     roles and bindings every cluster has (with apiVersion, kind, metadata)
//! bootstrap::reconcile(stored: &Value, wanted: &Value) -> Option<Value>
//! ```

mod objects;
mod refusal;

pub use objects::{Objects, find};
pub use refusal::Refusal;
