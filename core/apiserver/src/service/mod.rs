//! What a Service needs beyond its kind: a cluster address and node ports that
//! no other Service has.
//!
//! Both are held in memory, filled from the stored Services at start, claimed
//! before a write and given back when the write fails or the Service goes. Of
//! several servers on one store each follows what the others write; what two give
//! away within the same moment may be given twice.

pub mod addresses;
pub mod claim;
pub mod follow;
pub mod ports;
pub mod spec;
pub mod used;

pub use claim::{Claim, Pools};

use serde_json::Value;

use crate::{
    context::Context,
    status::{ApiError, Result},
};

fn is_service(ctx: &Context) -> bool {
    ctx.resource.stored.group.is_empty() && ctx.resource.stored.plural == "services"
}

/// Drops what a Service of the new type can't hold.
pub fn drop_unneeded(ctx: &Context, new: &mut Value, old: &Value) {
    if is_service(ctx) {
        spec::drop_unneeded(new, old);
    }
}

/// Claims what the Service asks for and gives it what it leaves open.
pub fn claim<'a>(ctx: &'a Context, new: &mut Value, old: Option<&Value>) -> Result<Claim<'a>> {
    let pools = &ctx.core.service_pools;
    if !is_service(ctx) {
        return Ok(Claim::none(pools));
    }
    let name = new["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Claim::of(pools, new, old).map_err(|error| ApiError::invalid("", "Service", &name, &[error]))
}

/// After an update: what the new Service doesn't hold any more is free.
pub fn released_by(ctx: &Context, new: &Value, old: &Value) {
    if is_service(ctx) {
        ctx.core.service_pools.release_difference(old, Some(new));
    }
}

/// After a deletion: all is free.
pub fn deleted(ctx: &Context, old: &Value) {
    if is_service(ctx) {
        ctx.core.service_pools.release_difference(old, None);
    }
}
