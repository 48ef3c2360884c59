//! Who may, as kubectl asks it; and a user who gets a certificate by `kubectl certificate`.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use tiphys_tests::eventually;

use crate::kubectl_every::{Session, text};

pub fn can_i(session: &Session<'_>) -> Result<()> {
    let account = format!("system:serviceaccount:{}:default", session.namespace);
    let whom = format!("--as={account}");
    session.says(&["auth", "can-i", "create", "pods"], &["yes"])?;
    session.ends(&["auth", "can-i", "list", "pods", &whom], "", 1, &["no"])?;
    let role = ["create", "role", "reader", "--verb=get,list", "--resource=pods"];
    session.says(&role, &["created"])?;
    let subject = format!("--serviceaccount={}:default", session.namespace);
    session.says(&["create", "rolebinding", "readers", "--role=reader", &subject], &["created"])?;
    // Who decides learns of the binding a moment later.
    let may = || session.says(&["auth", "can-i", "list", "pods", &whom], &["yes"]);
    eventually(Duration::from_secs(120), may)?;
    session.says(&["auth", "can-i", "--list", &whom], &["selfsubjectaccessreviews", "[get list]"])?;
    session.says(&["get", "pods", &whom, "-o", "name"], &["pod/"])?;
    session.ends(&["get", "secrets", &whom], "", 1, &["Forbidden", "cannot list resource \"secrets\""])?;
    if session.minor >= 27 {
        let token = session.ok(&["create", "token", "default", "--duration=10m"])?;
        ensure!(token.trim().split('.').count() == 3, "no token: {token:?}");
    }
    if session.minor >= 28 {
        session.says(&["auth", "whoami", &whom], &[&account])?;
    }
    Ok(())
}

fn request(name: &str, user: &str, key: &rcgen::KeyPair) -> Result<String> {
    let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, user);
    let request = STANDARD.encode(parameters.serialize_request(key)?.pem()?);
    Ok(format!(
        "
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {{name: {name}}}
spec:
  request: {request}
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
"
    ))
}

pub fn certificate(session: &Session<'_>) -> Result<()> {
    let (name, denied) = (format!("tern-{}", session.namespace), format!("skua-{}", session.namespace));
    let key = rcgen::KeyPair::generate()?;
    session.manifest(&["create"], &request(&name, &name, &key)?, &["created"])?;
    session.manifest(&["create"], &request(&denied, &denied, &key)?, &["created"])?;
    session.says(&["get", "csr", &name], &["kube-apiserver-client", "Pending"])?;
    session.says(&["certificate", "approve", &name], &["approved"])?;
    session.says(&["certificate", "deny", &denied], &["denied"])?;
    session.says(&["get", "csr", &denied], &["Denied"])?;
    let (issued, _) = eventually(Duration::from_secs(120), || {
        let issued = session.ok(&["get", "csr", &name, "-o", "jsonpath={.status.certificate}"])?;
        ensure!(!issued.is_empty(), "no certificate is issued");
        Ok(issued)
    })?;
    session.says(&["describe", "csr", &name], &["Approved,Issued", &name])?;

    let (certificate, secret) = (session.file("tern.crt"), session.file("tern.key"));
    fs::write(&certificate, STANDARD.decode(issued)?)?;
    fs::write(&secret, key.serialize_pem())?;
    let kubeconfig = fs::read_to_string(session.cluster.kubeconfig())?;
    let mut servers = kubeconfig.lines().filter_map(|line| line.trim().strip_prefix("server: "));
    let server = format!("--server={}", servers.next().context("the kubeconfig names a server")?);
    // By nothing but the certificate: a kubeconfig would bring the administrator's.
    let certificate = format!("--client-certificate={}", text(&certificate));
    let secret = format!("--client-key={}", text(&secret));
    let by = [&*server, &*certificate, &*secret, "--kubeconfig=/dev/null", "--insecure-skip-tls-verify"];
    let said = format!("User \"{name}\" cannot list resource \"pods\"");
    session.ends(&[&["get", "pods"], &by[..]].concat(), "", 1, &["Forbidden", &said])?;
    session.says(&["delete", "csr", &name, &denied], &["deleted"])
}
