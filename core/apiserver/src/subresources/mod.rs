//! Paths below an object with behaviour of their own, one a file.

pub mod approval;
pub mod binding;
pub mod ephemeral;
pub mod eviction;
pub mod finalize;
pub mod resize;
pub mod reviews;
pub mod scale;
pub mod token;

use http::Response;
use tiphys_api::{kind::Subresource, serve::Body};

use crate::{
    context::Context,
    registry::Resource,
    request::info::RequestInfo,
    status::{ApiError, Result},
    verbs,
    write::commit::Part,
};

/// Answers for a subresource whose body is read already; the streaming ones are dispatched before.
pub async fn answer(ctx: &Context, body: &[u8]) -> Result<Response<Body>> {
    let subresource = ctx.resource.kind.subresource(&ctx.info.subresource);
    let subresource = subresource.ok_or_else(|| unknown(&ctx.resource, &ctx.info))?;
    match (subresource, ctx.info.verb) {
        (Subresource::Status, "get") => verbs::get::get(ctx).await,
        (Subresource::Status, "update") => verbs::update::update(ctx, Part::Status, body).await,
        (Subresource::Status, "patch") => verbs::patch::patch(ctx, Part::Status, body).await,
        (Subresource::Scale(paths), _) => scale::answer(ctx, paths, body).await,
        (Subresource::Named("binding"), "create") => binding::create(ctx, body).await,
        (Subresource::Named("eviction"), "create") => eviction::create(ctx, body).await,
        (Subresource::Named("finalize"), "update") => finalize::update(ctx, body).await,
        (Subresource::Named("token"), "create") => token::create(ctx, body).await,
        (Subresource::Named("approval" | "ephemeralcontainers" | "resize"), "get") => {
            verbs::get::get(ctx).await
        }
        (Subresource::Named("approval"), "update" | "patch") => approval::write(ctx, body).await,
        (Subresource::Named("ephemeralcontainers"), "update" | "patch") => ephemeral::write(ctx, body).await,
        (Subresource::Named("resize"), "update" | "patch") => resize::write(ctx, body).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// 404 for a subresource that the resource doesn't have. Of a custom one it names the object, as
/// apiextensions-apiserver does whether the object is there or not; of a built-in one it is a path
/// that nobody serves, and so it is where a namespaced object is asked for without its namespace.
pub fn unknown(resource: &Resource, info: &RequestInfo) -> ApiError {
    let misplaced = resource.kind.is_namespaced() && info.namespace.is_empty();
    if resource.custom.is_some() && !misplaced {
        ApiError::not_found(resource.group_resource(), &info.name)
    } else {
        ApiError::no_such_path()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::tests::harness::{DEPLOYMENTS, Harness, deployment};

    const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const NAMESPACED: &str = "/apis/bare.example.com/v1/namespaces/default/things";
    const WITHOUT_SCALE: &str = "things.bare.example.com \"a\" not found";
    const NO_SUCH_PATH: &str = "the server could not find the requested resource";

    async fn with_things() -> Harness {
        let api = Harness::start().await;
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.bare.example.com"},
            "spec": {
                "group": "bare.example.com", "scope": "Namespaced",
                "names": {"plural": "things", "kind": "Thing"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object",
                        "x-kubernetes-preserve-unknown-fields": true}},
                }],
            },
        });
        api.post(DEFINITIONS, &definition).await.expect(201);
        let served = &api;
        api.eventually(|| async move { served.get(NAMESPACED).await.code == 200 }).await;
        let thing = json!({"apiVersion": "bare.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}});
        api.post(NAMESPACED, &thing).await.expect(201);
        api
    }

    #[tokio::test]
    async fn a_custom_object_without_a_scale_is_said_not_to_be_found() {
        let api = with_things().await;
        let (path, scale) = (format!("{NAMESPACED}/a/scale"), json!({"spec": {"replicas": 2}}));
        for answer in
            [api.get(&path).await, api.put(&path, &scale).await, api.patch(&path, "merge", &scale).await]
        {
            let details = answer.json()["details"].clone();
            assert_eq!((&details["name"], &details["kind"]), (&json!("a"), &json!("things")));
            assert_eq!(details["group"], "bare.example.com");
            assert_eq!(answer.refused(404, "NotFound"), WITHOUT_SCALE);
        }
        // Its status it doesn't have either, and nobody looks whether the object is there.
        assert_eq!(api.get(&format!("{NAMESPACED}/a/status")).await.refused(404, "NotFound"), WITHOUT_SCALE);
        let absent = api.get(&format!("{NAMESPACED}/b/scale")).await.refused(404, "NotFound");
        assert_eq!(absent, "things.bare.example.com \"b\" not found");
    }

    #[tokio::test]
    async fn a_path_that_nobody_serves_names_no_object() {
        let api = with_things().await;
        let misplaced = api.get("/apis/bare.example.com/v1/things/a/scale").await;
        assert_eq!(misplaced.refused(404, "NotFound"), NO_SUCH_PATH);
        api.post(DEPLOYMENTS, &deployment("web", 1)).await.expect(201);
        let unknown = api.get(&format!("{DEPLOYMENTS}/web/nothing")).await;
        assert_eq!(unknown.refused(404, "NotFound"), NO_SUCH_PATH);
    }
}
