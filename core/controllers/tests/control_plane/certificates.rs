//! Certificate requests: approved, signed, refused, and what the certificate is good for.

use k8s_openapi::{
    ByteString,
    api::{authentication::v1::SelfSubjectReview, certificates::v1::CertificateSigningRequest},
};
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};
use tiphys_api::auth::UserInfo;
use tiphys_apiserver::pki::server_tls;
use tiphys_client::in_memory;

use crate::harness::{Plane, cache, named, until};

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET: &str = "kubernetes.io/kube-apiserver-client-kubelet";

fn request(key: &KeyPair, user: &str, group: &str) -> ByteString {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    ByteString(params.serialize_request(key).unwrap().pem().unwrap().into_bytes())
}

fn object(name: &str, signer: &str, request: &ByteString) -> CertificateSigningRequest {
    let object = json!({
        "metadata": {"name": name},
        "spec": {
            "request": request, "signerName": signer, "expirationSeconds": 3600,
            "usages": ["digital signature", "client auth"],
            // What a sender claims of itself counts for nothing.
            "username": "system:admin", "groups": ["system:masters"],
        },
    });
    serde_json::from_value(object).unwrap()
}

fn condition(kind: &str) -> Patch<Value> {
    let condition = json!({"type": kind, "status": "True", "reason": "ByHand", "message": ""});
    Patch::Merge(json!({"status": {"conditions": [condition]}}))
}

fn has(request: &CertificateSigningRequest, kind: &str) -> bool {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == kind)
}

async fn issued(plane: &Plane, name: &str) -> CertificateSigningRequest {
    let all = cache::<CertificateSigningRequest>(&plane.client, &plane.tasks);
    let done = |one: &CertificateSigningRequest| {
        one.status.as_ref().is_some_and(|status| status.certificate.is_some()) || has(one, "Failed")
    };
    until(&format!("an end of {name}"), &all, |all| all.iter().any(|one| named(one, name) && done(one)))
        .await;
    let api: Api<CertificateSigningRequest> = Api::all(plane.client.clone());
    api.get(name).await.unwrap()
}

/// A client that shows the issued certificate to the real listener.
async fn client(plane: &Plane, certificate: &[u8], key: &KeyPair) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let identity = plane.pki.server("kube-apiserver", &["127.0.0.1".into()]).unwrap();
    plane.server.serve(listener, server_tls(&identity, Some(plane.pki.ca_pem())).unwrap());
    let base64 =
        |bytes: &[u8]| serde_json::to_value(ByteString(bytes.to_vec())).unwrap().as_str().unwrap().to_owned();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": url, "certificate-authority-data": base64(plane.pki.ca_pem().as_bytes())}}],
        "users": [{"name": "u", "user": {
            "client-certificate-data": base64(certificate),
            "client-key-data": base64(key.serialize_pem().as_bytes())}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    let kubeconfig = serde_json::from_value(kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_request_becomes_a_login() {
    let plane = Plane::without_kubelets().await;
    let jane = in_memory(plane.server.handler(), UserInfo::master("jane"));
    let requests: Api<CertificateSigningRequest> = Api::all(jane);
    let key = KeyPair::generate().unwrap();
    let created = requests
        .create(&PostParams::default(), &object("dev", CLIENT, &request(&key, "dev", "team")))
        .await
        .unwrap();
    assert_eq!(created.spec.username.as_deref(), Some("jane"));
    assert_eq!(created.spec.groups.unwrap(), ["system:masters", "system:authenticated"]);
    let params = PatchParams::default();
    // The status is no way around the approval.
    assert_eq!(code(requests.patch_status("dev", &params, &condition("Approved")).await), 422);
    let approved =
        requests.patch_subresource("approval", "dev", &params, &condition("Approved")).await.unwrap();
    let condition_there = &approved.status.unwrap().conditions.unwrap()[0];
    assert!(condition_there.last_update_time.is_some() && condition_there.last_transition_time.is_some());
    assert_eq!(code(requests.patch_subresource("approval", "dev", &params, &condition("Denied")).await), 422);

    let certificate = issued(&plane, "dev").await.status.unwrap().certificate.unwrap().0;
    let dev = client(&plane, &certificate, &key).await;
    let reviews: Api<SelfSubjectReview> = Api::all(dev);
    let who = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await.unwrap();
    let user = who.status.unwrap().user_info.unwrap();
    assert_eq!(user.username.as_deref(), Some("dev"));
    assert_eq!(user.groups.unwrap(), ["team", "system:authenticated"]);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubelets_are_approved_when_they_may() {
    let plane = Plane::without_kubelets().await;
    let key = KeyPair::generate().unwrap();
    let ask = async |name: &str, user: UserInfo, common_name: &str| {
        let requests: Api<CertificateSigningRequest> = Api::all(in_memory(plane.server.handler(), user));
        let wanted = object(name, KUBELET, &request(&key, common_name, "system:nodes"));
        // The table of rights follows its watch.
        while code(requests.create(&PostParams::default(), &wanted).await) == 403 {
            tokio::task::yield_now().await;
        }
    };
    bind(&plane, "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", "system:nodes")
        .await;
    bind(&plane, "system:node-bootstrapper", "joiners").await;
    ask("other", UserInfo::named("joiner", &["joiners"]), "system:node:n2").await;
    ask("own", UserInfo::named("system:node:n1", &["system:nodes"]), "system:node:n1").await;
    assert!(has(&issued(&plane, "own").await, "Approved"));
    let requests: Api<CertificateSigningRequest> = Api::all(plane.client.clone());
    let other = requests.get("other").await.unwrap();
    assert!(!has(&other, "Approved"));
    // Approved by hand, it is signed: whom to trust is the approver's word.
    let params = PatchParams::default();
    requests.patch_subresource("approval", "other", &params, &condition("Approved")).await.unwrap();
    assert!(issued(&plane, "other").await.status.unwrap().certificate.is_some());

    // One that breaks the signer's rules fails, approved or not.
    ask("wrong", UserInfo::master("root"), "jane").await;
    requests.patch_subresource("approval", "wrong", &params, &condition("Approved")).await.unwrap();
    let wrong = issued(&plane, "wrong").await;
    assert!(has(&wrong, "Failed") && wrong.status.unwrap().certificate.is_none());
    plane.stop().await;
}

async fn bind(plane: &Plane, role: &str, group: &str) {
    use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
    let binding = json!({
        "metadata": {"name": group},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    });
    let api: Api<ClusterRoleBinding> = Api::all(plane.client.clone());
    api.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

fn code<T>(result: Result<T, kube::Error>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
        Ok(_) => 0,
    }
}
