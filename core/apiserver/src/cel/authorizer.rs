//! The variable `authorizer`: questions about the rights of the request's user.
//!
//! `authorizer.group('apps').resource('deployments').namespace('a').check('create').allowed()`
//! <https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-authorizer-library>

use std::{fmt, sync::Arc};

use kube_cel::cel::{Value, objects::Opaque};
use tiphys_api::{
    auth::{Attributes, SharedAuthorizer, UserInfo},
    cel::{evaluate::Outcome, fault::Fault, library::Function, meter::Meter},
};

/// Asking costs so much that an expression can do it twice: upstream's.
const CHECK: u64 = 350_000;

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

const FUNCTIONS: &[(&str, Function)] = &[
    ("path", path),
    ("group", |args, _| {
        let [this, group] = two(args)?;
        asked(question(this)?.asker, About::Group(text(group)?))
    }),
    ("serviceAccount", service_account),
    ("resource", resource),
    ("subresource", |args, _| part(args, |subresource, _, _| subresource)),
    ("namespace", |args, _| part(args, |_, namespace, _| namespace)),
    ("name", |args, _| part(args, |_, _, name| name)),
    // Rights do not depend on selectors here: whoever may not list all may not list some.
    ("fieldSelector", selector),
    ("labelSelector", selector),
    ("check", check),
    ("allowed", |args, _| Ok(Value::Bool(decision(args)?.refused.is_none()))),
    ("reason", |args, _| Ok(Value::String(Arc::new(decision(args)?.refused.unwrap_or_default())))),
    // The authorizer answers from memory: it never fails to.
    ("errored", |args, _| decision(args).map(|_| Value::Bool(false))),
    ("error", |args, _| decision(args).map(|_| Value::String(Arc::default()))),
];

pub fn find(name: &str) -> Option<Function> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
}

fn question(value: &Value) -> Result<Question, Fault> {
    match value {
        Value::Opaque(opaque) => <dyn Opaque>::downcast_ref::<Question>(&**opaque).cloned(),
        _ => None,
    }
    .ok_or_else(Fault::overload)
}

fn decision(args: &[Value]) -> Result<Decision, Fault> {
    match args {
        [Value::Opaque(opaque)] => <dyn Opaque>::downcast_ref::<Decision>(&**opaque).cloned(),
        _ => None,
    }
    .ok_or_else(Fault::overload)
}

fn two(args: &[Value]) -> Result<[&Value; 2], Fault> {
    let [this, argument] = args else { return Err(Fault::overload()) };
    Ok([this, argument])
}

fn text(value: &Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text.as_ref().clone()),
        _ => Err(Fault::overload()),
    }
}

fn asked(asker: Asker, about: About) -> Outcome {
    Ok(Value::Opaque(Arc::new(Question { asker, about })))
}

fn path(args: &[Value], _: &mut Meter) -> Outcome {
    let [this, path] = two(args)?;
    let path = text(path)?;
    if path.is_empty() {
        return Err(Fault::told("path must not be empty"));
    }
    asked(question(this)?.asker, About::Path(path))
}

fn service_account(args: &[Value], _: &mut Meter) -> Outcome {
    let [this, namespace, name] = args else { return Err(Fault::overload()) };
    let (asker, namespace, name) = (question(this)?.asker, text(namespace)?, text(name)?);
    let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}")];
    let user = UserInfo::named(format!("system:serviceaccount:{namespace}:{name}"), &groups);
    asked(Asker { user, ..asker }, About::Nothing)
}

fn resource(args: &[Value], _: &mut Meter) -> Outcome {
    let [this, resource] = two(args)?;
    let Question { asker, about: About::Group(group) } = question(this)? else {
        return Err(Fault::overload());
    };
    let (subresource, namespace, name) = Default::default();
    asked(asker, About::Resource { group, resource: text(resource)?, subresource, namespace, name })
}

/// Sets a part of a question about a resource.
fn part(
    args: &[Value],
    part: for<'a> fn(&'a mut String, &'a mut String, &'a mut String) -> &'a mut String,
) -> Outcome {
    let [this, value] = two(args)?;
    let mut question = question(this)?;
    let About::Resource { subresource, namespace, name, .. } = &mut question.about else {
        return Err(Fault::overload());
    };
    *part(subresource, namespace, name) = text(value)?;
    Ok(Value::Opaque(Arc::new(question)))
}

fn selector(args: &[Value], meter: &mut Meter) -> Outcome {
    let [this, selector] = two(args)?;
    meter.bytes(text(selector)?.len())?;
    match question(this)?.about {
        About::Resource { .. } => Ok(this.clone()),
        _ => Err(Fault::overload()),
    }
}

fn check(args: &[Value], meter: &mut Meter) -> Outcome {
    let [this, verb] = two(args)?;
    let (Question { asker, about }, verb) = (question(this)?, text(verb)?);
    let attributes = match about {
        About::Path(path) => Attributes::NonResource { verb, path },
        About::Resource { group, resource, subresource, namespace, name } => {
            Attributes::Resource { verb, group, version: "*".into(), resource, subresource, namespace, name }
        }
        About::Nothing | About::Group(_) => return Err(Fault::overload()),
    };
    meter.charge(CHECK)?;
    let refused = asker.authorizer.authorize(&asker.user, &attributes).err();
    Ok(Value::Opaque(Arc::new(Decision { refused })))
}
