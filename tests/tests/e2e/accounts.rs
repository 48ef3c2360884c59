//! What Pods find of their ServiceAccount: token, certificate and namespace, a token for
//! somebody else, nothing where it is not wanted; and the issuer that a token names.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};
use tiphys_tests::eventually;

use crate::{
    Shared,
    kubectl_every::{Session, Step, once},
};

const LIMIT: Duration = Duration::from_secs(120);

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: mounted}
spec:
  restartPolicy: Never
  containers:
  - {name: token, image: 'test.local/busybox:1', command: [cat, /var/run/secrets/kubernetes.io/serviceaccount/token]}
  - {name: root, image: 'test.local/busybox:1', command: [cat, /var/run/secrets/kubernetes.io/serviceaccount/ca.crt]}
  - {name: namespace, image: 'test.local/busybox:1', command: [cat, /var/run/secrets/kubernetes.io/serviceaccount/namespace]}
---
apiVersion: v1
kind: Pod
metadata: {name: opted-out}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  containers:
  - {name: main, image: 'test.local/busybox:1', command: [sh, -c, 'ls /var/run/secrets 2>&1; ls /run/secrets 2>&1; true']}
---
apiVersion: v1
kind: Pod
metadata: {name: projected}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  containers:
  - name: main
    image: test.local/busybox:1
    command: [cat, /tokens/of/harbour]
    volumeMounts: [{name: token, mountPath: /tokens, readOnly: true}]
  volumes:
  - name: token
    projected:
      sources: [{serviceAccountToken: {path: of/harbour, audience: harbour, expirationSeconds: 3600}}]
---
apiVersion: v1
kind: Pod
metadata: {name: discovery}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: test.local/curl:1
    command:
    - sh
    - -ec
    - |
      issuer=https://kubernetes.default.svc.cluster.local
      cd /var/run/secrets/kubernetes.io/serviceaccount
      token=$(cat token)
      ask() { curl -sSfm 60 --retry 9 --retry-all-errors --retry-delay 1 --cacert ca.crt -H \"Authorization: Bearer $token\" \"$1\"; }
      ask $issuer/.well-known/openid-configuration > /tmp/found
      keys=$(sed -n 's/.*\"jwks_uri\": *\"\\([^\"]*\\)\".*/\\1/p' /tmp/found)
      echo $token
      cat /tmp/found; echo
      ask $keys; echo
";

const STEPS: &[Step] = &[
    ("Pods", pods),
    ("mounted token", mounted),
    ("opting out", opted_out),
    ("projected token", projected),
    ("issuer's discovery", discovery),
];

pub fn walk(shared: &Shared) -> Result<()> {
    once(shared, "accounts", STEPS)
}

fn pods(session: &Session<'_>) -> Result<()> {
    session.manifest(&["create"], PODS, &["pod/discovery created"])
}

/// What a container said until it ended well.
fn said(session: &Session<'_>, pod: &str, container: &str) -> Result<String> {
    eventually(LIMIT, || {
        let phase = session.ok(&["get", "pod", pod, "-o", "jsonpath={.status.phase}"])?;
        let log = || session.ok(&["logs", pod, "-c", container]);
        ensure!(phase == "Succeeded", "{pod} is {phase}: {:?}", log());
        Ok(())
    })?;
    session.ok(&["logs", pod, "-c", container])
}

/// Whom the API server takes a token's bearer for, for these audiences.
fn review(session: &Session<'_>, token: &str, audiences: &[&str]) -> Result<Value> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": token, "audiences": audiences},
    });
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let answer = session.output(&["create", "--raw", path, "-f", "-"], &review.to_string())?.ok()?;
    let answer: Value = serde_json::from_str(&answer)?;
    Ok(answer["status"].clone())
}

fn mounted(session: &Session<'_>) -> Result<()> {
    let namespace = said(session, "mounted", "namespace")?;
    ensure!(namespace == session.namespace, "the namespace is {namespace:?}");
    let root = said(session, "mounted", "root")?;
    let map = session.json(&["get", "configmap", "kube-root-ca.crt"])?;
    ensure!(root.contains("BEGIN CERTIFICATE"), "the certificate is {root:?}");
    ensure!(map["data"]["ca.crt"] == *root, "the certificate is another one than the namespace's");
    let status = review(session, &said(session, "mounted", "token")?, &[])?;
    let user = format!("system:serviceaccount:{}:default", session.namespace);
    ensure!(status["authenticated"] == true && status["user"]["username"] == *user, "{status}");
    let pod = &status["user"]["extra"]["authentication.kubernetes.io/pod-name"];
    ensure!(*pod == json!(["mounted"]), "the token is of {pod}");
    Ok(())
}

fn opted_out(session: &Session<'_>) -> Result<()> {
    let found = said(session, "opted-out", "main")?;
    ensure!(!found.contains("kubernetes.io"), "there is {found:?}");
    Ok(())
}

fn projected(session: &Session<'_>) -> Result<()> {
    let token = said(session, "projected", "main")?;
    let status = review(session, &token, &["harbour"])?;
    ensure!(status["authenticated"] == true && status["audiences"] == json!(["harbour"]), "{status}");
    let elsewhere = review(session, &token, &[])?;
    ensure!(elsewhere["authenticated"] != true, "a token for the harbour counts here: {elsewhere}");
    Ok(())
}

/// The Pod has asked, at the address that its token names; the token is verified by what it found.
fn discovery(session: &Session<'_>) -> Result<()> {
    let found = said(session, "discovery", "main")?;
    let mut lines = found.lines().filter(|line| !line.is_empty());
    let mut next = || lines.next().with_context(|| format!("a line is missing: {found}"));
    let token = next()?;
    let config: Value = serde_json::from_str(next()?)?;
    let keys: JwkSet = serde_json::from_str(next()?)?;
    let issuer = config["issuer"].as_str().context("an issuer")?;
    let header = jsonwebtoken::decode_header(token)?;
    let key = keys.find(header.kid.as_deref().unwrap_or_default()).context("the token's key is not there")?;
    let named: Vec<Algorithm> =
        serde_json::from_value(config["id_token_signing_alg_values_supported"].clone())?;
    ensure!(named.contains(&header.alg), "{:?} is not among {named:?}", header.alg);
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[issuer]);
    let claims = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?.claims;
    let subject = format!("system:serviceaccount:{}:default", session.namespace);
    ensure!(claims["sub"] == *subject, "the token is of {}", claims["sub"]);
    Ok(())
}
