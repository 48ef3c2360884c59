//! A request for a resource: authorized, checked against what is served, and
//! given to its verb.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Version};
use tiphys_api::{
    auth::{Attributes, UserInfo},
    serve::Body,
};

use super::route::mounted;
use crate::{
    aggregation, audit,
    context::Context,
    protobuf,
    registry::Resource,
    request::{
        accept::{self, Offer},
        body,
        info::RequestInfo,
        options,
    },
    respond,
    state::Core,
    status::{ApiError, Result},
    streaming, subresources, verbs,
    write::{self, commit::Part},
};

pub async fn answer(
    core: Arc<Core>,
    user: UserInfo,
    info: RequestInfo,
    extension: Option<Arc<aggregation::Service>>,
    request: Request<Body>,
) -> Result<Response<Body>> {
    authorize(&core, &user, &info, &request)?;
    if let Some(service) = extension {
        return aggregation::proxy(&core, &service, &user, request).await;
    }
    if let Some(handler) = core.mounts.find(request.uri().path()) {
        return Ok(mounted(handler, request).await);
    }
    let resource = core.registry.find(&info.group, &info.version, &info.resource);
    let resource = resource.ok_or_else(ApiError::no_such_path)?;
    check_path(&resource, &info)?;
    if info.is_stream() {
        write::connect::admit(&core, &resource, &user, &info, request.uri().query()).await?;
        return stream(&core, &info, request).await;
    }
    let (parts, incoming) = request.into_parts();
    let options = options::parse(info.verb, parts.uri.query().unwrap_or_default())?;
    let reads = matches!(info.verb, "get" | "list" | "watch");
    let offer = Offer { shapes: reads, protobuf: protobuf::serves(resource.kind) };
    let accept = accept::choose(accept::header(&parts.headers), offer)?;
    let body = if reads { Bytes::new() } else { body::read(incoming).await? };
    let recorder = parts.extensions.get::<audit::Recorder>().cloned();
    if let Some(recorder) = &recorder {
        recorder.request_body(&parts.headers, &body);
    }
    let ctx = Context::new(core, resource, info, options, accept, user, parts.headers);
    let answer = Box::pin(verb(&ctx, &body)).await;
    if let Some(recorder) = &recorder {
        recorder.annotate(ctx.notes.annotations());
    }
    let mut answer = answer.unwrap_or_else(|error| ctx.answer_error(&error));
    respond::object::warn(&mut answer, ctx.resource.deprecation().as_slice());
    Ok(answer)
}

async fn verb(ctx: &Context, body: &[u8]) -> Result<Response<Body>> {
    if !ctx.info.subresource.is_empty() {
        return subresources::answer(ctx, body).await;
    }
    if !ctx.resource.kind.is_read() {
        return subresources::reviews::create(ctx, body).await;
    }
    if !ctx.resource.kind.is_stored() {
        return verbs::observed::answer(ctx).await;
    }
    match ctx.info.verb {
        "get" => verbs::get::get(ctx).await,
        "list" => verbs::list::list(ctx).await,
        "watch" => verbs::watch::watch(ctx).await,
        "create" => verbs::create::create(ctx, body).await,
        "update" => verbs::update::update(ctx, Part::Main, body).await,
        "patch" => verbs::patch::patch(ctx, Part::Main, body).await,
        "delete" => verbs::delete::delete(ctx, body).await,
        "deletecollection" => verbs::deletecollection::deletecollection(ctx, body).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Whether the path fits the resource and the verb is one of its own.
fn check_path(resource: &Resource, info: &RequestInfo) -> Result<()> {
    let kind = resource.kind;
    let is_namespace = kind.definition == "io.k8s.api.core.v1.Namespace";
    if !kind.is_namespaced() && !info.namespace.is_empty() && !is_namespace {
        return Err(ApiError::no_such_path());
    }
    if !info.subresource.is_empty() {
        if kind.subresource(&info.subresource).is_none() {
            return Err(subresources::unknown(resource, info));
        }
        let extra = !info.rest.is_empty() && info.subresource != "proxy";
        return if extra { Err(ApiError::no_such_path()) } else { Ok(()) };
    }
    let everywhere = kind.is_namespaced() && info.namespace.is_empty();
    if everywhere && !info.name.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let crosswise = everywhere && kind.is_stored() && matches!(info.verb, "create" | "deletecollection");
    // One is written under its name, and made beside the others.
    let misplaced = match info.verb {
        "update" | "patch" => info.name.is_empty(),
        "create" => !info.name.is_empty(),
        _ => false,
    };
    if crosswise || misplaced || !kind.verbs.contains(&info.verb) {
        return Err(ApiError::method_not_allowed());
    }
    Ok(())
}

/// What goes through to a kubelet.
async fn stream(core: &Core, info: &RequestInfo, request: Request<Body>) -> Result<Response<Body>> {
    let (namespace, name) = (info.namespace.as_str(), info.name.as_str());
    match (info.subresource.as_str(), info.verb) {
        ("log", "get") => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            Ok(core.streaming.log(namespace, name, &query).await?)
        }
        (subresource @ ("exec" | "attach" | "portforward"), "get" | "create") => {
            let http1 = request.version() <= Version::HTTP_11;
            match core.streaming.connect(subresource, namespace, name, request).await {
                Ok(response) => Ok(response),
                Err(refusal) => {
                    let mut response = respond::error(&refusal.into(), accept::Format::Json);
                    if http1 {
                        streaming::close(&mut response);
                    }
                    Ok(response)
                }
            }
        }
        ("proxy", _) => {
            Ok(core.streaming.proxy(&info.resource, namespace, name, &info.rest, request).await?)
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// An upgrade by GET has to be allowed as what it does, too.
fn authorize(core: &Core, user: &UserInfo, info: &RequestInfo, request: &Request<Body>) -> Result<()> {
    core.authorize_request(user, &attributes(info, info.verb, request.uri().query()), request)?;
    if !info.is_stream() {
        return Ok(());
    }
    let verb = streaming::authorization_verb(request.method(), &info.subresource, request.headers());
    if verb == info.verb {
        return Ok(());
    }
    core.authorize_request(user, &attributes(info, verb, None), request)
}

fn attributes(info: &RequestInfo, verb: &str, query: Option<&str>) -> Attributes {
    let mut name = info.name.clone();
    if name.is_empty() && matches!(verb, "list" | "watch" | "deletecollection") {
        // A list of one object by its name is a question about that object.
        name = query.and_then(single_name).unwrap_or_default();
    }
    Attributes::Resource {
        verb: verb.to_owned(),
        group: info.group.clone(),
        version: info.version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        namespace: info.namespace.clone(),
        name,
    }
}

fn single_name(query: &str) -> Option<String> {
    let selector = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "fieldSelector")?.1;
    selector.split(',').find_map(|term| {
        let name = term.trim().strip_prefix("metadata.name=")?;
        Some(name.trim_start_matches('=').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_by_name_names_the_object() {
        assert_eq!(single_name("fieldSelector=metadata.name%3Dx"), Some("x".into()));
        assert_eq!(single_name("fieldSelector=spec.nodeName%3Dn%2Cmetadata.name%3D%3Dx"), Some("x".into()));
        assert_eq!(single_name("fieldSelector=metadata.name%21%3Dx"), None);
        assert_eq!(single_name("limit=5"), None);
    }
}
