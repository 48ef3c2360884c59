//! What every cluster has from its first moment: namespaces, the bootstrap
//! roles, the system's priority classes, and the Service `kubernetes` with its endpoint.
//!
//! It is written at each start, through the same way as any other write, and
//! changes nothing that is as it should be.

pub mod changes;
pub mod kubernetes;
mod priorities;
pub mod roles;

use std::{net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderValue, header};
use serde_json::{Value, json};
use tiphys_api::{auth::UserInfo, kinds, schema};

use crate::{
    context::Context,
    request::{
        accept::{Accept, Format, Shape},
        info::RequestInfo,
        options::Options,
    },
    server::StartError,
    state::Core,
    status::{ApiError, Result},
    write::commit::{self, Change, Part},
};

const NAMESPACES: &[&str] =
    &["default", "kube-system", "kube-public", "kube-node-lease", tiphys_api::names::SYSTEM_NAMESPACE];

/// Writes all of it.
pub async fn run(core: &Arc<Core>, advertise: Option<(IpAddr, u16)>) -> std::result::Result<(), StartError> {
    for name in NAMESPACES {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        ensure(core, &namespace, &|_| None)
            .await
            .map_err(StartError::bootstrap(format!("namespace {name}")))?;
    }
    roles::write(core).await?;
    priorities::write(core).await.map_err(StartError::bootstrap("the priority classes"))?;
    kubernetes::write(core, advertise).await.map_err(StartError::bootstrap("the service kubernetes"))
}

/// Creates `wanted`, or changes what is stored by `reconcile`, if that gives a change.
pub async fn ensure(
    core: &Arc<Core>,
    wanted: &Value,
    reconcile: &(dyn Fn(&Value) -> Option<Value> + Send + Sync),
) -> Result<()> {
    let ctx = context(core, wanted)?;
    let stored = core.storage.load(&ctx.resource, &ctx.info.namespace, &ctx.info.name).await?;
    let Some(stored) = stored else {
        let mut new = wanted.clone();
        schema::leave_out(&ctx.resource.stored_schema, &mut new);
        return match commit::create(&ctx, Change::to(new)).await {
            Err(error) if error.reason == "AlreadyExists" => Ok(()),
            done => done.map(drop),
        };
    };
    if reconcile(&stored.object).is_none() {
        return Ok(());
    }
    let change = |current: &crate::storage::Current| {
        let mut object = reconcile(&current.object).unwrap_or_else(|| current.object.clone());
        schema::leave_out(&ctx.resource.stored_schema, &mut object);
        Ok(Change::to(object))
    };
    commit::update(&ctx, Part::Main, &change).await.map(drop)
}

/// A request of the server's own about an object.
pub fn context(core: &Arc<Core>, object: &Value) -> Result<Context> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let kind = kinds::by_kind(&api_version, &kind).ok_or_else(ApiError::no_such_path)?;
    let resource =
        core.registry.find(kind.group, kind.version, kind.plural).ok_or_else(ApiError::no_such_path)?;
    let info = RequestInfo {
        group: kind.group.into(),
        version: kind.version.into(),
        namespace: text(&object["metadata"]["namespace"]),
        resource: kind.plural.into(),
        name: text(&object["metadata"]["name"]),
        verb: "update",
        ..RequestInfo::default()
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::USER_AGENT, HeaderValue::from_static("tiphys-apiserver"));
    let accept = Accept { format: Format::Json, shape: Shape::Object };
    let user = UserInfo::master("system:apiserver");
    Ok(Context::new(core.clone(), resource.clone(), info, Options::default(), accept, user, headers))
}
