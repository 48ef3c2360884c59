//! What ResourceQuotas count: each kind from its create to its end, Pods by what they ask for and of
//! the scopes they are in; and the status that says so.

use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tiphys_client::Cache;

use crate::{
    harness::{Plane, cache, until},
    quotas::until_used,
};

async fn quota(plane: &Plane, name: &str, spec: Value) -> Cache<ResourceQuota> {
    let quotas = cache::<ResourceQuota>(&plane.client, &plane.tasks);
    let object = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
    plane.create::<ResourceQuota>(object).await;
    quotas
}

fn pod(name: &str, resources: Value) -> Value {
    json!({"metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "app:1", "resources": resources}]}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_counts_each_kind_from_its_create_to_its_end() {
    let plane = Plane::start(0).await;
    let hard = json!({"pods": "5", "services": "10", "replicationcontrollers": "10", "resourcequotas": "1",
        "configmaps": "10", "secrets": "10", "persistentvolumeclaims": "10", "count/replicasets.apps": "5",
        "cpu": "1", "memory": "500Mi"});
    let quotas = quota(&plane, "q", json!({"hard": hard})).await;
    // The API's own Service and the cluster's certificate are in this namespace.
    let before = json!({"pods": "0", "services": "1", "replicationcontrollers": "0", "resourcequotas": "1",
        "configmaps": "1", "secrets": "0", "persistentvolumeclaims": "0", "count/replicasets.apps": "0",
        "cpu": "0", "memory": "0"});
    until_used(&quotas, "q", before.clone()).await;
    let status = plane.api::<ResourceQuota>().get("q").await.unwrap().status.unwrap();
    assert_eq!(json!(status.hard), hard);

    let template =
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let set = json!({"spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}});
    let controller = json!({"spec": {"replicas": 0, "selector": {"a": "b"}, "template": template}});
    let table = [
        ("", "v1", "ConfigMap", "configmaps", "2", json!({"data": {"a": "b"}})),
        ("", "v1", "Secret", "secrets", "1", json!({"data": {"a": "Yg=="}})),
        ("", "v1", "Service", "services", "2", json!({"spec": {"ports": [{"port": 80}]}})),
        ("", "v1", "ReplicationController", "replicationcontrollers", "1", controller),
        ("apps", "v1", "ReplicaSet", "count/replicasets.apps", "1", set),
    ];
    for (group, version, kind, resource, amount, more) in table {
        let resource_type = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let objects: Api<DynamicObject> = Api::default_namespaced_with(plane.client.clone(), &resource_type);
        let object = DynamicObject::new("one", &resource_type).data(more);
        objects.create(&PostParams::default(), &object).await.unwrap();
        let mut after = before.clone();
        after[resource] = json!(amount);
        until_used(&quotas, "q", after).await;
        objects.delete("one", &DeleteParams::default()).await.unwrap();
        until_used(&quotas, "q", before.clone()).await;
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_counts_services_by_their_type() {
    let plane = Plane::start(0).await;
    let hard = json!({"services": "10", "services.nodeports": "1", "services.loadbalancers": "1"});
    let quotas = quota(&plane, "q", json!({"hard": hard})).await;
    let counts = |all: &str, ports: &str, balancers: &str| json!({"services": all, "services.nodeports": ports, "services.loadbalancers": balancers});
    until_used(&quotas, "q", counts("1", "0", "0")).await;
    let services = plane.api::<k8s_openapi::api::core::v1::Service>();
    let create = async |name: &str, kind: &str, more: Value| {
        let mut spec = json!({"type": kind, "ports": [{"port": 80}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let service = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        services.create(&PostParams::default(), &service).await
    };
    create("plain", "ClusterIP", json!({})).await.unwrap();
    create("ports", "NodePort", json!({})).await.unwrap();
    until_used(&quotas, "q", counts("3", "1", "0")).await;
    let refused = create("more", "NodePort", json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("exceeded quota: q, requested: services.nodeports=1"), "{refused}");
    let refused = create("balanced", "LoadBalancer", json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("services.nodeports=1"), "{refused}");
    create("balanced", "LoadBalancer", json!({"allocateLoadBalancerNodePorts": false})).await.unwrap();
    until_used(&quotas, "q", counts("4", "1", "1")).await;
    for name in ["plain", "ports", "balanced"] {
        services.delete(name, &DeleteParams::default()).await.unwrap();
    }
    until_used(&quotas, "q", counts("1", "0", "0")).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_counts_what_a_pod_asks_for() {
    let plane = Plane::start(0).await;
    let hard = json!({"pods": "5", "cpu": "1", "memory": "500Mi", "ephemeral-storage": "50Gi",
        "requests.example.com/dongle": "3"});
    let quotas = quota(&plane, "q", json!({"hard": hard})).await;
    let nothing = json!({"pods": "0", "cpu": "0", "memory": "0", "ephemeral-storage": "0",
        "requests.example.com/dongle": "0"});
    until_used(&quotas, "q", nothing.clone()).await;
    let requests = |cpu: &str, memory: &str, dongles: &str| {
        json!({"requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": "30Gi", "example.com/dongle": dongles},
            "limits": {"example.com/dongle": dongles}})
    };
    plane.create::<Pod>(pod("a", requests("500m", "252Mi", "2"))).await;
    let one = json!({"pods": "1", "cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi",
        "requests.example.com/dongle": "2"});
    until_used(&quotas, "q", one.clone()).await;
    let pods = plane.api::<Pod>();
    for (resources, what) in [
        (json!({"requests": {"cpu": "600m", "memory": "1Mi", "ephemeral-storage": "1Gi"}}), "cpu=600m"),
        (
            json!({"requests": {"cpu": "1m", "memory": "1Mi", "ephemeral-storage": "1Gi", "example.com/dongle": "2"},
                "limits": {"example.com/dongle": "2"}}),
            "requests.example.com/dongle=2",
        ),
    ] {
        let other = serde_json::from_value(pod("b", resources)).unwrap();
        let refused = pods.create(&PostParams::default(), &other).await.unwrap_err().to_string();
        assert!(refused.contains("exceeded quota: q") && refused.contains(what), "{refused}");
    }
    let less = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m"}}}]}});
    let refused = pods.patch("a", &PatchParams::default(), &Patch::Strategic(less)).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 422), "{refused}");
    until_used(&quotas, "q", one).await;
    pods.delete("a", &DeleteParams::default()).await.unwrap();
    until_used(&quotas, "q", nothing).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_best_effort_counts_no_other_pod() {
    let plane = Plane::start(0).await;
    quota(&plane, "best", json!({"hard": {"pods": "5"}, "scopes": ["BestEffort"]})).await;
    let quotas = quota(&plane, "not-best", json!({"hard": {"pods": "5"}, "scopes": ["NotBestEffort"]})).await;
    until_used(&quotas, "best", json!({"pods": "0"})).await;
    until_used(&quotas, "not-best", json!({"pods": "0"})).await;
    let burstable =
        json!({"requests": {"cpu": "500m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "400Mi"}});
    for (inside, outside, resources) in [("best", "not-best", json!({})), ("not-best", "best", burstable)] {
        plane.create::<Pod>(pod("p", resources)).await;
        until_used(&quotas, inside, json!({"pods": "1"})).await;
        until_used(&quotas, outside, json!({"pods": "0"})).await;
        plane.api::<Pod>().delete("p", &DeleteParams::default()).await.unwrap();
        until_used(&quotas, inside, json!({"pods": "0"})).await;
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_of_terminating_pods_counts_no_other() {
    let plane = Plane::start(0).await;
    let hard = json!({"pods": "5", "requests.cpu": "1", "requests.memory": "500Mi",
        "limits.cpu": "2", "limits.memory": "1Gi"});
    quota(&plane, "ends", json!({"hard": hard, "scopes": ["Terminating"]})).await;
    let quotas = quota(&plane, "stays", json!({"hard": hard, "scopes": ["NotTerminating"]})).await;
    let nothing = json!({"pods": "0", "requests.cpu": "0", "requests.memory": "0", "limits.cpu": "0", "limits.memory": "0"});
    until_used(&quotas, "ends", nothing.clone()).await;
    until_used(&quotas, "stays", nothing.clone()).await;
    let resources =
        json!({"requests": {"cpu": "500m", "memory": "200Mi"}, "limits": {"cpu": "1", "memory": "400Mi"}});
    let some = json!({"pods": "1", "requests.cpu": "500m", "requests.memory": "200Mi", "limits.cpu": "1", "limits.memory": "400Mi"});
    for (inside, outside, deadline) in [("stays", "ends", None), ("ends", "stays", Some(3600))] {
        let mut object = pod("p", resources.clone());
        object["spec"]["activeDeadlineSeconds"] = json!(deadline);
        plane.create::<Pod>(object).await;
        until_used(&quotas, inside, some.clone()).await;
        until_used(&quotas, outside, nothing.clone()).await;
        plane.api::<Pod>().delete("p", &DeleteParams::default()).await.unwrap();
        until_used(&quotas, inside, nothing.clone()).await;
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quotas_status_follows_its_spec_whoever_writes_it() {
    let plane = Plane::start(0).await;
    let quotas = quota(&plane, "q", json!({"hard": {"cpu": "500m", "memory": "500Mi"}})).await;
    // As of a later version than this: the copy may be behind what was written.
    let follows = async |hard: Value, after: &str| {
        let after: u64 = after.parse().unwrap();
        until(&format!("the status at {hard}"), &quotas, |all| {
            all.iter().any(|quota| {
                let version: u64 = quota.metadata.resource_version.as_ref().unwrap().parse().unwrap();
                let status = quota.status.clone().unwrap_or_default();
                version > after
                    && json!(quota.spec.as_ref().unwrap().hard) == hard
                    && json!(status.hard) == hard
            })
        })
        .await;
    };
    let api = plane.api::<ResourceQuota>();
    let hard = |quota: &ResourceQuota| json!(quota.status.as_ref().unwrap().hard);
    let version = |quota: &ResourceQuota| quota.metadata.resource_version.clone().unwrap();
    follows(json!({"cpu": "500m", "memory": "500Mi"}), "0").await;
    // The controller may write in between; then it is a conflict.
    let updated = loop {
        let mut current = api.get("q").await.unwrap();
        let more = json!({"cpu": "2", "memory": "2Gi"});
        current.status.as_mut().unwrap().hard = serde_json::from_value(more).unwrap();
        match api.replace_status("q", &PostParams::default(), &current).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            updated => break updated.unwrap(),
        }
    };
    assert_eq!(hard(&updated), json!({"cpu": "2", "memory": "2Gi"}));
    follows(json!({"cpu": "500m", "memory": "500Mi"}), &version(&updated)).await;
    let wanted = json!({"cpu": "1", "memory": "1Gi"});
    let changed = plane.patch::<ResourceQuota>("q", json!({"spec": {"hard": wanted}})).await;
    follows(wanted.clone(), &version(&changed)).await;
    let both = json!({"spec": {"hard": {"cpu": "9"}}, "status": {"hard": {"cpu": "3", "memory": "3Gi"}}});
    let patched = api.patch_status("q", &PatchParams::default(), &Patch::Merge(both)).await.unwrap();
    assert_eq!(hard(&patched), json!({"cpu": "3", "memory": "3Gi"}));
    assert_eq!(json!(patched.spec.as_ref().unwrap().hard), wanted);
    follows(wanted.clone(), &version(&patched)).await;
    assert_eq!(hard(&api.get_status("q").await.unwrap()), wanted);
    plane.stop().await;
}
