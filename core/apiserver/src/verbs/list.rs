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

/// Who asked for the next page of a list that has expired may begin anew, or go on from there with
/// what is there now.
fn expired(ctx: &Context, error: ApiError) -> ApiError {
    if error.reason != "Expired" {
        return error;
    }
    let Ok(token) = ContinueToken::decode(&ctx.options.continue_token) else { return error };
    let on = ContinueToken { revision: None, ..token };
    ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. \
         List again without it, or take the one of this answer to get the rest: \
         what has changed since the first page may then be missing or be there twice.",
    )
    .continued_by(on.encode())
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
        query.freshness = token.revision.map_or(Freshness::MostRecent, Freshness::Exact);
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
