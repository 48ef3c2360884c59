//! Which resource is a kind, by the API's discovery: a plural is the definition's to choose.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::{Client, api::ApiResource, core::GroupVersionKind};

/// The resource of a kind: in the version of its group that the API prefers and that has its
/// scale, or else in any that has the kind. None where no version has it.
///
/// # Errors
/// The API could not be asked for some version, and the others have no such kind.
pub async fn find(client: &Client, group: &str, kind: &str) -> Result<Option<ApiResource>, kube::Error> {
    let (mut bare, mut failed) = (None, None);
    for version in versions(client, group).await? {
        let listed = match group {
            "" => client.list_core_api_resources(&version).await,
            _ => client.list_api_group_resources(&format!("{group}/{version}")).await,
        };
        match listed {
            Ok(list) => match resource(&list.resources, &GroupVersionKind::gvk(group, &version, kind)) {
                Some((resource, true)) => return Ok(Some(resource)),
                Some((resource, false)) => bare = bare.or(Some(resource)),
                None => {}
            },
            // It went away since the versions were listed.
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => failed = Some(error),
        }
    }
    match (bare, failed) {
        (None, Some(error)) => Err(error),
        (bare, _) => Ok(bare),
    }
}

/// The served versions of a group, the preferred one first; none where there is no such group.
async fn versions(client: &Client, group: &str) -> Result<Vec<String>, kube::Error> {
    if group.is_empty() {
        return Ok(client.list_core_api_versions().await?.versions);
    }
    let groups = client.list_api_groups().await?.groups;
    let Some(group) = groups.into_iter().find(|one| one.name == group) else { return Ok(Vec::new()) };
    let mut versions: Vec<_> = group.versions.into_iter().map(|one| one.version).collect();
    if let Some(preferred) = group.preferred_version {
        versions.sort_by_key(|version| *version != preferred.version);
    }
    Ok(versions)
}

/// The resource of a kind among those of its version, and whether that has a scale.
fn resource(listed: &[APIResource], kind: &GroupVersionKind) -> Option<(ApiResource, bool)> {
    let found = listed.iter().find(|one| one.kind == kind.kind && !one.name.contains('/'))?;
    let scale = format!("{}/scale", found.name);
    let has_scale = listed.iter().any(|one| one.name == scale);
    Some((ApiResource::from_gvk_with_plural(kind, &found.name), has_scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_under_the_plural_that_it_is_served_by() {
        let one = |name: &str, kind: &str| APIResource {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..APIResource::default()
        };
        let listed = [
            one("geese/status", "Goose"),
            one("geese/scale", "Scale"),
            one("geese", "Goose"),
            one("barns", "Barn"),
            one("barns/status", "Barn"),
        ];
        let of = |kind: &str| {
            let found = resource(&listed, &GroupVersionKind::gvk("farm.example.com", "v1", kind));
            found.map(|(resource, has_scale)| (resource.plural, resource.api_version, has_scale))
        };
        let version = || "farm.example.com/v1".to_owned();
        assert_eq!(of("Goose"), Some(("geese".to_owned(), version(), true)));
        assert_eq!(of("Barn"), Some(("barns".to_owned(), version(), false)));
        assert_eq!(of("Duck"), None);
    }
}
