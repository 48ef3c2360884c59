//! What the server itself watches: changes of a few resources, as one stream.

use std::{future::Future, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream::SelectAll};
use tiphys_lifecycle::BoxError;

use crate::{
    cache::{CacheWatch, Selector, WatchQuery, WatchStart},
    state::Core,
};

/// Group and plural of a resource.
pub type Name = (&'static str, &'static str);

/// Every change of these resources, what is there already first.
///
/// # Errors
/// One of them is not served.
pub async fn of(
    core: &Core,
    resources: &[Name],
    namespace: Option<&str>,
    selector: &Selector,
) -> Result<SelectAll<CacheWatch>, BoxError> {
    let mut all = SelectAll::new();
    for (group, resource) in resources {
        let found =
            core.registry.stored(group, resource).ok_or_else(|| format!("{resource} are not served"))?;
        let query = WatchQuery {
            start: WatchStart::Any,
            namespace: namespace.map(Into::into),
            selector: selector.clone(),
            bookmarks: false,
        };
        all.push(found.cache()?.watch(query).await?);
    }
    Ok(all)
}

/// Keeps something alike with these resources: settles it now, and after each
/// change; many changes at once are one. `pause` bounds the work for a burst.
pub fn follow<F>(
    core: &Arc<Core>,
    name: &'static str,
    resources: &'static [Name],
    pause: Duration,
    settle: impl Fn(Arc<Core>) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = Result<(), BoxError>> + Send,
{
    let shared = core.clone();
    core.tasks.spawn_restarting(name, move || {
        let (core, settle) = (shared.clone(), settle.clone());
        async move {
            let mut changes = of(&core, resources, None, &Selector::default()).await?;
            settle(core.clone()).await?;
            while let Some(change) = changes.next().await {
                change?;
                while let Some(Some(change)) = changes.next().now_or_never() {
                    change?;
                }
                settle(core.clone()).await?;
                tokio::time::sleep(pause).await;
            }
            Err::<(), BoxError>(format!("the watch of {name} ended").into())
        }
    });
}
