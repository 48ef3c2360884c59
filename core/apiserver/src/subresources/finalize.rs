//! namespaces/finalize: the namespace controller takes its finalizer off
//! `spec.finalizers`; with the last one the Namespace goes.

use http::{Response, StatusCode};
use tiphys_api::serve::Body;

use crate::{
    context::Context,
    status::Result,
    write::{
        commit::{self, Change, Part},
        decode,
    },
};

pub async fn update(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    let wanted = decode::object(ctx, bytes)?;
    let change = |current: &crate::storage::Current| {
        let mut namespace = current.object.clone();
        namespace["metadata"]["resourceVersion"] = wanted["metadata"]["resourceVersion"].clone();
        namespace["spec"]["finalizers"] = wanted["spec"]["finalizers"].clone();
        if namespace["spec"]["finalizers"].is_null()
            && let Some(spec) = namespace["spec"].as_object_mut()
        {
            spec.remove("finalizers");
        }
        Ok(Change::to(namespace))
    };
    let stored = commit::update(ctx, Part::Sub("finalize"), &change).await?;
    ctx.answer(StatusCode::OK, stored)
}
