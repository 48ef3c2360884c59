//! LIST: selectors, pages, and how new the answer must be.

use http::Response;
use tiphys_api::serve::Body;
use tiphys_store::Revision;

use crate::{
    cache::{ContinueToken, Freshness, ListQuery, ListResult, Selector},
    context::Context,
    request::options::{Options, VersionMatch},
    respond,
    status::{ApiError, Result},
};

pub async fn list(ctx: &Context) -> Result<Response<Body>> {
    let result = collect(ctx).await?;
    respond::list::respond(&ctx.resource, result, ctx.accept, &ctx.options, &ctx.headers).await
}

/// The objects that the request selects.
pub async fn collect(ctx: &Context) -> Result<ListResult> {
    let query = query(ctx)?;
    ctx.resource.cache()?.list(&query).await.map_err(|error| expired(ctx, error.into()))
}

/// An expired list is worded for its reader: with `continue` it must begin anew.
fn expired(ctx: &Context, error: ApiError) -> ApiError {
    if error.reason != "Expired" || ctx.options.continue_token.is_empty() {
        return error;
    }
    ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. \
         You must start a new list without the continue parameter.",
    )
}

fn query(ctx: &Context) -> Result<ListQuery> {
    let options = &ctx.options;
    let mut query = ListQuery {
        namespace: ctx.resource.within(&ctx.info.namespace).map(String::from),
        selector: selector(ctx)?,
        limit: (options.limit > 0).then_some(options.limit),
        start_after: None,
        freshness: freshness(options)?,
    };
    if !options.continue_token.is_empty() {
        if !matches!(options.resource_version.as_str(), "" | "0") {
            return Err(ApiError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let token = ContinueToken::decode(&options.continue_token)?;
        query.start_after = Some(token.start_after);
        query.freshness = Freshness::Exact(token.revision);
    }
    Ok(query)
}

/// Labels and fields; a field that can't be selected by is refused.
pub fn selector(ctx: &Context) -> Result<Selector> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let labels = given(&ctx.options.label_selector);
    let fields = given(&ctx.options.field_selector);
    let selector = Selector::parse(labels.as_deref(), fields.as_deref())?;
    let known = |field: &str| {
        matches!(field, "metadata.name" | "metadata.namespace")
            || ctx.resource.stored.selectable.contains(&field)
    };
    if let Some(unknown) = selector.fields.fields().find(|field| !known(field)) {
        return Err(ApiError::bad_request(format!("field label not supported: {unknown}")));
    }
    Ok(selector)
}

/// How new the answer must be, by `resourceVersion` and `resourceVersionMatch`.
pub fn freshness(options: &Options) -> Result<Freshness> {
    Ok(match (options.resource_version.as_str(), options.version_match) {
        ("", _) => Freshness::MostRecent,
        ("0", _) => Freshness::Any,
        (version, VersionMatch::Exact) => Freshness::Exact(revision(version)?),
        // A paged list of before resourceVersionMatch meant this very version, too.
        (version, VersionMatch::Unset) if options.limit > 0 && !options.watch => {
            Freshness::Exact(revision(version)?)
        }
        (version, _) => Freshness::NotOlderThan(revision(version)?),
    })
}

/// A resourceVersion is opaque to clients and a revision to us.
pub fn revision(text: &str) -> Result<Revision> {
    text.parse()
        .map_err(|_| ApiError::bad_request(format!("invalid resource version {text:?}: not a number")))
}
