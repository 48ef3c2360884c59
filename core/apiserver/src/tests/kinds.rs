//! The less used kinds through the whole server: made, shown, changed where they may, refused where not.

use serde_json::{Value, json};

use super::harness::{DEPLOYMENTS, Harness, PODS, deployment, pod};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// A line a kind: group and version, resource, spec or whole body, then the cells behind the name.
const KINDS: &str = r#"
networking.k8s.io/v1 ipaddresses 10.1.2.3 {"spec":{"parentRef":{"resource":"services","namespace":"default","name":"web"}}} => services/default/web
networking.k8s.io/v1 servicecidrs more {"spec":{"cidrs":["10.7.0.0/24"]}} => 10.7.0.0/24
storage.k8s.io/v1 csidrivers d.io {"spec":{}} => true false false <unset> false Persistent
storage.k8s.io/v1 csinodes n {"spec":{"drivers":[{"name":"d.io","nodeID":"n","topologyKeys":["zone"]}]}} => 1
storage.k8s.io/v1 volumeattachments a {"spec":{"attacher":"d.io","nodeName":"n","source":{"persistentVolumeName":"v"}}} => d.io v n false
storage.k8s.io/v1 volumeattributesclasses fast {"driverName":"d.io","parameters":{"iops":"9"}} => d.io
storage.k8s.io/v1 namespaces/default/csistoragecapacities c {"storageClassName":"s","capacity":"1Gi"} => s 1Gi
resource.k8s.io/v1 deviceclasses gpu {"spec":{"selectors":[{"cel":{"expression":"device.driver == 'd.io'"}}]}} =>
resource.k8s.io/v1 devicetaintrules broken {"spec":{"taint":{"key":"k","effect":"NoSchedule","timeAdded":"2026-01-01T00:00:00Z"}}} => k  NoSchedule
resource.k8s.io/v1 resourceslices s {"spec":{"driver":"d.io","pool":{"name":"p","generation":1,"resourceSliceCount":1},"nodeName":"n","devices":[{"name":"a"}]}} => n d.io p
resource.k8s.io/v1 namespaces/default/resourceclaims c {"spec":{"devices":{"requests":[{"name":"a","exactly":{"deviceClassName":"gpu"}}]}}} => pending
resource.k8s.io/v1 namespaces/default/resourceclaimtemplates t {"spec":{"spec":{"devices":{}}}} =>
storagemigration.k8s.io/v1 storageversionmigrations m {"spec":{"resource":{"group":"apps","resource":"deployments"}}} => deployments.apps"#;

#[tokio::test]
async fn each_kind_is_made_and_shown() {
    let api = Harness::start().await;
    for line in KINDS.lines().filter(|line| !line.is_empty()) {
        let (given, cells) = line.split_once(" =>").expect("an arrow");
        let mut words = given.splitn(4, ' ');
        let mut word = || words.next().expect("four words");
        let (version, resource, name) = (word(), word(), word());
        let mut object: Value = serde_json::from_str(word()).expect("JSON");
        object["metadata"] = json!({"name": name});
        let path = format!("/apis/{version}/{resource}");
        let made = api.post(&path, &object).await.expect(201);
        assert_eq!(made["metadata"]["name"], name);
        let table = api.get_as(&path, TABLE).await.expect(200);
        let shown = table["rows"][0]["cells"].as_array().expect("cells").iter().skip(1);
        let shown: Vec<String> =
            shown.map(|c| c.as_str().map_or_else(|| c.to_string(), str::to_owned)).collect();
        assert!(shown.join(" ").starts_with(cells.trim_start()), "{resource}: {shown:?}");
        assert_eq!(api.put(&format!("{path}/{name}"), &made).await.expect(200), made);
    }
}

#[tokio::test]
async fn generations_are_counted_where_upstream_counts_them() {
    let api = Harness::start().await;
    let generation = |object: &Value| object["metadata"]["generation"].clone();
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    let service = api.post("/api/v1/namespaces/default/services", &service).await.expect(201);
    assert_eq!(generation(&service), Value::Null);
    assert_eq!(generation(&api.post(PODS, &pod("p")).await.expect(201)), 1);
    assert_eq!(generation(&api.post(DEPLOYMENTS, &deployment("web", 1)).await.expect(201)), 1);
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    let class = api.post(classes, &json!({"metadata": {"name": "high"}, "value": 7})).await.expect(201);
    assert_eq!(generation(&class), 1);
    let described = api
        .patch(
            &format!("{classes}/high"),
            "merge",
            &json!({"description": "for all", "metadata": {"labels": {"a": "b"}}}),
        )
        .await
        .expect(200);
    assert_eq!(generation(&described), 2);
}

#[tokio::test]
async fn a_status_is_checked_as_well() {
    let api = Harness::start().await;
    let claims = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims";
    let claim = json!({"metadata": {"name": "c"}, "spec": {"devices": {"requests": [
        {"name": "a", "exactly": {"deviceClassName": "gpu"}},
    ]}}});
    api.post(claims, &claim).await.expect(201);
    let path = format!("{claims}/c/status");
    let user = json!({"status": {"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]}});
    let told = api.patch(&path, "merge", &user).await.refused(422, "Invalid");
    assert!(told.contains("status.reservedFor: Forbidden: may not be specified when"), "{told}");
    let given = json!({"status": {"allocation": {"devices": {"results": [
        {"request": "a", "driver": "d.io", "pool": "p", "device": "x"},
    ]}}}});
    api.patch(&path, "merge", &given).await.expect(200);
    api.patch(&path, "merge", &user).await.expect(200);
    let changed = json!({"status": {"allocation": {"nodeSelector": {"nodeSelectorTerms": []}}}});
    api.patch(&path, "merge", &changed).await.refused(422, "Invalid");
}
