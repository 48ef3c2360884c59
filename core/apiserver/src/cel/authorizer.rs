//! The variable `authorizer`: questions about the rights of the request's user.
//!
//! `authorizer.group('apps').resource('deployments').namespace('a').check('create').allowed()`
//! <https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-authorizer-library>

use std::{fmt, sync::Arc};

use kube_cel::cel::{Context, ExecutionError, ResolveResult, Value, extractors::This, objects::Opaque};
use tiphys_api::auth::{Attributes, SharedAuthorizer, UserInfo};

/// Who asks whom.
#[derive(Clone)]
pub struct Asker {
    pub authorizer: SharedAuthorizer,
    pub user: UserInfo,
}

impl PartialEq for Asker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.authorizer, &other.authorizer) && self.user == other.user
    }
}

impl Eq for Asker {}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker").field("user", &self.user.name).finish_non_exhaustive()
    }
}

/// A question on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    asker: Asker,
    about: About,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    Nothing,
    Path(String),
    Group(String),
    Resource { group: String, resource: String, subresource: String, namespace: String, name: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Decision {
    refused: Option<String>,
}

impl Opaque for Question {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Authorizer"
    }
}

impl Opaque for Decision {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Decision"
    }
}

impl Asker {
    /// The variable itself.
    pub fn value(&self) -> Value {
        Value::Opaque(Arc::new(Question { asker: self.clone(), about: About::Nothing }))
    }

    /// `authorizer.requestResource`: about the object of the request.
    pub fn about(
        &self,
        group: &str,
        resource: &str,
        subresource: &str,
        namespace: &str,
        name: &str,
    ) -> Value {
        let about = About::Resource {
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            name: name.into(),
        };
        Value::Opaque(Arc::new(Question { asker: self.clone(), about }))
    }
}

pub fn register(context: &mut Context<'_>) {
    context.add_function("path", path);
    context.add_function("group", group);
    context.add_function("serviceAccount", service_account);
    context.add_function("resource", resource);
    context.add_function("subresource", subresource);
    context.add_function("namespace", namespace);
    context.add_function("name", name);
    // Rights do not depend on selectors here: whoever may not list all may not list some.
    context.add_function("fieldSelector", selector);
    context.add_function("labelSelector", selector);
    context.add_function("check", check);
    context.add_function("allowed", allowed);
    context.add_function("reason", reason);
    context.add_function("errored", errored);
    context.add_function("error", error);
}

fn question(value: &Value) -> Result<Question, ExecutionError> {
    match value {
        Value::Opaque(opaque) => opaque.downcast_ref::<Question>().cloned(),
        _ => None,
    }
    .ok_or(ExecutionError::NoSuchOverload)
}

fn decision(value: &Value) -> Result<Decision, ExecutionError> {
    match value {
        Value::Opaque(opaque) => opaque.downcast_ref::<Decision>().cloned(),
        _ => None,
    }
    .ok_or(ExecutionError::NoSuchOverload)
}

fn asked(asker: Asker, about: About) -> ResolveResult {
    Ok(Value::Opaque(Arc::new(Question { asker, about })))
}

fn path(This(this): This<Value>, path: Arc<String>) -> ResolveResult {
    if path.is_empty() {
        return Err(ExecutionError::function_error("path", "path must not be empty"));
    }
    asked(question(&this)?.asker, About::Path(path.as_ref().clone()))
}

fn group(This(this): This<Value>, group: Arc<String>) -> ResolveResult {
    asked(question(&this)?.asker, About::Group(group.as_ref().clone()))
}

fn service_account(This(this): This<Value>, namespace: Arc<String>, name: Arc<String>) -> ResolveResult {
    let asker = question(&this)?.asker;
    let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}")];
    let user = UserInfo::named(format!("system:serviceaccount:{namespace}:{name}"), &groups);
    asked(Asker { user, ..asker }, About::Nothing)
}

fn resource(This(this): This<Value>, resource: Arc<String>) -> ResolveResult {
    let Question { asker, about: About::Group(group) } = question(&this)? else {
        return Err(ExecutionError::NoSuchOverload);
    };
    let (subresource, namespace, name) = Default::default();
    asked(asker, About::Resource { group, resource: resource.as_ref().clone(), subresource, namespace, name })
}

/// Sets a part of a question about a resource.
fn part(this: &Value, set: impl FnOnce(&mut String, &mut String, &mut String)) -> ResolveResult {
    let mut question = question(this)?;
    let About::Resource { subresource, namespace, name, .. } = &mut question.about else {
        return Err(ExecutionError::NoSuchOverload);
    };
    set(subresource, namespace, name);
    Ok(Value::Opaque(Arc::new(question)))
}

fn subresource(This(this): This<Value>, text: Arc<String>) -> ResolveResult {
    part(&this, |subresource, _, _| *subresource = text.as_ref().clone())
}

fn namespace(This(this): This<Value>, text: Arc<String>) -> ResolveResult {
    part(&this, |_, namespace, _| *namespace = text.as_ref().clone())
}

fn name(This(this): This<Value>, text: Arc<String>) -> ResolveResult {
    part(&this, |_, _, name| *name = text.as_ref().clone())
}

fn selector(This(this): This<Value>, _: Arc<String>) -> ResolveResult {
    part(&this, |_, _, _| ())
}

fn check(This(this): This<Value>, verb: Arc<String>) -> ResolveResult {
    let Question { asker, about } = question(&this)?;
    let verb = verb.as_ref().clone();
    let attributes = match about {
        About::Path(path) => Attributes::NonResource { verb, path },
        About::Resource { group, resource, subresource, namespace, name } => {
            Attributes::Resource { verb, group, version: "*".into(), resource, subresource, namespace, name }
        }
        About::Nothing | About::Group(_) => return Err(ExecutionError::NoSuchOverload),
    };
    let refused = asker.authorizer.authorize(&asker.user, &attributes).err();
    Ok(Value::Opaque(Arc::new(Decision { refused })))
}

fn allowed(This(this): This<Value>) -> ResolveResult {
    Ok(Value::Bool(decision(&this)?.refused.is_none()))
}

fn reason(This(this): This<Value>) -> ResolveResult {
    Ok(Value::String(Arc::new(decision(&this)?.refused.unwrap_or_default())))
}

/// The authorizer answers from memory: it never fails to.
fn errored(This(this): This<Value>) -> ResolveResult {
    decision(&this).map(|_| Value::Bool(false))
}

fn error(This(this): This<Value>) -> ResolveResult {
    decision(&this).map(|_| Value::String(Arc::default()))
}
