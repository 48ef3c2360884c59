//! PUT of an object: the caller's version takes the place of the stored one, if
//! it was made from it. An object that isn't there is not created.

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

pub async fn update(ctx: &Context, part: Part, bytes: &[u8]) -> Result<Response<Body>> {
    let object = decode::object(ctx, bytes)?;
    let stored = commit::update(ctx, part, &|_| Ok(Change::to(object.clone()))).await?;
    ctx.answer(StatusCode::OK, stored)
}
