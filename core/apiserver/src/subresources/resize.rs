//! pods/resize: CPU and memory of a Pod's containers change while they run.

use http::Response;
use serde_json::Value;
use tiphys_api::{pod, serve::Body};

use super::ephemeral::write_part;
use crate::{
    context::Context,
    status::{ApiError, Result},
    storage::Current,
    write::commit::{Change, Part},
};

pub async fn write(ctx: &Context, bytes: &[u8]) -> Result<Response<Body>> {
    write_part(ctx, Part::Sub("resize"), bytes, &|current, wanted| change(ctx, current, wanted)).await
}

fn change(ctx: &Context, current: &Current, wanted: &Value) -> Result<Change> {
    let mut resized = pod::resize::apply(&current.object, wanted);
    resized["metadata"]["resourceVersion"] = wanted["metadata"]["resourceVersion"].clone();
    (ctx.resource.kind.default)(&mut resized);
    let errors = pod::resize::check(&resized, &current.object);
    if errors.is_empty() {
        Ok(Change::to(resized))
    } else {
        Err(ApiError::invalid("", "Pod", &ctx.info.name, &errors))
    }
}
