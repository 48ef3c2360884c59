//! Who owns what: controller references, and the claim of an owner on objects
//! that its selector matches.
//!
//! An object without a controller is adopted, one of the owner's own that the
//! selector no longer matches is released; both as one patch that a change in
//! between refuses.

use std::sync::Arc;

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tiphys_client::{Held, Metadata};

use crate::{
    error::{Error, found},
    key::Key,
    object,
    selector::Matcher,
    watched::{Kind, controller_uid},
};

/// The reference that marks `owner` as the controller.
pub fn reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: object::name(owner).to_owned(),
        uid: object::uid(owner).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The owner's key, when the object's controller is of this kind.
pub fn controller_key<O: Resource<DynamicType = ()>, K: Metadata>(object: &K) -> Option<Key> {
    let owner = object.owners().iter().find(|owner| owner.controller == Some(true))?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let same = owner.kind == O::kind(&()) && group == O::group(&());
    same.then(|| Key::new(object::namespace(object), owner.name.clone()))
}

/// What an owner does with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Mine,
    Adopt,
    Release,
    Ignore,
}

/// The claim of an owner with this UID.
pub fn claim<K: Metadata>(owner_uid: &str, owner_deleting: bool, matches: bool, object: &K) -> Claim {
    match controller_uid(object) {
        Some(uid) if uid != owner_uid => Claim::Ignore,
        Some(_) if matches => Claim::Mine,
        Some(_) if owner_deleting => Claim::Ignore,
        Some(_) => Claim::Release,
        None if owner_deleting || !matches || object::deleting(object) => Claim::Ignore,
        None => Claim::Adopt,
    }
}

/// Settles the claims of `owner` and gives the objects that are its own now.
///
/// # Errors
/// The API refused to adopt or release one; the others are settled.
pub async fn claim_all<O, K>(
    client: &Client,
    owner: &O,
    selector: &Matcher,
    objects: Vec<Arc<K>>,
) -> Result<Vec<Arc<K>>, Error>
where
    O: Kind + Resource<Scope = NamespaceResourceScope>,
    K: Held<Wire: Resource<Scope = NamespaceResourceScope>>,
{
    let (mut mine, mut failure, mut may_adopt) = (Vec::new(), None, None);
    for object in objects {
        let matches = selector.matches(object::labels(&*object));
        let result = match claim(object::uid(owner), object::deleting(owner), matches, &*object) {
            Claim::Ignore => continue,
            Claim::Mine => {
                mine.push(object);
                continue;
            }
            Claim::Release => release(client, owner, &*object).await.map(|()| None),
            Claim::Adopt => {
                if may_adopt.is_none() {
                    may_adopt = Some(still_there(client, owner).await?);
                }
                if may_adopt != Some(true) {
                    continue;
                }
                adopt(client, owner, &*object).await
            }
        };
        match result {
            Ok(adopted) => mine.extend(adopted.map(Arc::new)),
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(mine), Err)
}

/// Asks the API, not the cache: an owner that is going away must neither adopt
/// nor make anything new.
pub async fn still_there<O>(client: &Client, owner: &O) -> Result<bool, Error>
where
    O: Kind + Resource<Scope = NamespaceResourceScope>,
{
    let api: Api<O> = Api::namespaced(client.clone(), object::namespace(owner));
    let live = found(api.get_metadata(object::name(owner)).await)?;
    Ok(live.is_some_and(|live| {
        live.metadata.uid.as_deref() == Some(object::uid(owner)) && live.metadata.deletion_timestamp.is_none()
    }))
}

async fn adopt<O, K>(client: &Client, owner: &O, object: &K) -> Result<Option<K>, Error>
where
    O: Kind,
    K: Held<Wire: Resource<Scope = NamespaceResourceScope>>,
{
    let mut owners = object.owners().to_vec();
    owners.push(reference(owner));
    Ok(set_owners(client, object, &owners).await?)
}

async fn release<O, K>(client: &Client, owner: &O, object: &K) -> Result<(), Error>
where
    O: Kind,
    K: Held<Wire: Resource<Scope = NamespaceResourceScope>>,
{
    let mut owners = object.owners().to_vec();
    owners.retain(|reference| reference.uid != object::uid(owner));
    set_owners(client, object, &owners).await?;
    Ok(())
}

/// `None` when the object has gone meanwhile.
async fn set_owners<K>(
    client: &Client,
    object: &K,
    owners: &[OwnerReference],
) -> Result<Option<K>, kube::Error>
where
    K: Held<Wire: Resource<Scope = NamespaceResourceScope>>,
{
    let api: Api<K::Wire> = Api::namespaced(client.clone(), object::namespace(object));
    let patch = json!({"metadata": {
        "resourceVersion": object.resource_version(),
        "ownerReferences": owners,
    }});
    let patched = api.patch(object::name(object), &PatchParams::default(), &Patch::Merge(patch)).await;
    Ok(found(patched)?.map(K::hold))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;

    fn pod(controller: Option<&str>, deleting: bool) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.owner_references = controller.map(|uid| {
            vec![OwnerReference { uid: uid.into(), controller: Some(true), ..OwnerReference::default() }]
        });
        pod.metadata.deletion_timestamp = deleting.then(object::now);
        pod
    }

    #[test]
    fn claims_follow_controller_selector_and_deletion() {
        for (controller, pod_deleting, owner_deleting, matches, expected) in [
            (Some("me"), false, false, true, Claim::Mine),
            (Some("me"), true, false, true, Claim::Mine),
            (Some("me"), false, false, false, Claim::Release),
            (Some("me"), false, true, false, Claim::Ignore),
            (Some("other"), false, false, true, Claim::Ignore),
            (None, false, false, true, Claim::Adopt),
            (None, false, false, false, Claim::Ignore),
            (None, true, false, true, Claim::Ignore),
            (None, false, true, true, Claim::Ignore),
        ] {
            let pod = pod(controller, pod_deleting);
            assert_eq!(claim("me", owner_deleting, matches, &pod), expected, "{controller:?} {matches}");
        }
    }
}
