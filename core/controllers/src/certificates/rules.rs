//! What each built-in signer signs: subjects and usages, as the Kubernetes
//! documentation of certificate signing requests has them. Pure.

use tiphys_api::certificate_request::Asked;

pub const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// Signed without a look at it, when somebody has approved it; never approved by itself.
pub const LEGACY: &str = "kubernetes.io/legacy-unknown";

pub const SIGNERS: [&str; 4] = [CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY];

/// Whether the signer signs this request for these usages.
///
/// # Errors
/// What is wrong with it, for the condition `Failed`.
pub fn check(signer: &str, asked: &Asked, usages: &[String]) -> Result<(), String> {
    match signer {
        CLIENT => client(usages),
        KUBELET_CLIENT => kubelet_client(asked, usages),
        KUBELET_SERVING => kubelet_serving(asked, usages),
        LEGACY => Ok(()),
        other => Err(format!("unrecognized signerName: {other:?}")),
    }
}

fn client(usages: &[String]) -> Result<(), String> {
    let optional = ["digital signature", "key encipherment"];
    let strange = usages.iter().find(|usage| *usage != "client auth" && !optional.contains(&usage.as_str()));
    match strange {
        Some(usage) => Err(format!("invalid usage for client certificate: {usage}")),
        None if usages.iter().any(|usage| usage == "client auth") => Ok(()),
        None => Err("missing required usage for client certificate: client auth".into()),
    }
}

/// The certificate that a kubelet shows to the API server.
pub fn kubelet_client(asked: &Asked, usages: &[String]) -> Result<(), String> {
    organization(asked)?;
    none(&asked.dns, "DNS")?;
    none(&asked.emails, "Email")?;
    none(&asked.addresses, "IP")?;
    none(&asked.uris, "URI")?;
    common_name(asked)?;
    exact(usages, "client auth")
}

fn kubelet_serving(asked: &Asked, usages: &[String]) -> Result<(), String> {
    organization(asked)?;
    if asked.dns.is_empty() && asked.addresses.is_empty() {
        return Err("DNS or IP subjectAltName is required".into());
    }
    none(&asked.emails, "Email")?;
    none(&asked.uris, "URI")?;
    exact(usages, "server auth")?;
    common_name(asked)
}

fn organization(asked: &Asked) -> Result<(), String> {
    if asked.organizations == ["system:nodes"] {
        return Ok(());
    }
    Err("subject organization is not system:nodes".into())
}

fn common_name(asked: &Asked) -> Result<(), String> {
    if asked.common_name.starts_with("system:node:") {
        return Ok(());
    }
    Err("subject common name does not begin with system:node:".into())
}

fn none<T>(names: &[T], what: &str) -> Result<(), String> {
    if names.is_empty() { Ok(()) } else { Err(format!("{what} subjectAltNames are not allowed")) }
}

/// `digital signature` and `purpose`; `key encipherment` too, which only keys of RSA use.
fn exact(usages: &[String], purpose: &str) -> Result<(), String> {
    let needed = ["digital signature", purpose];
    let has_needed = needed.iter().all(|usage| usages.iter().any(|asked| asked == usage));
    let known = |usage: &String| needed.contains(&usage.as_str()) || usage == "key encipherment";
    if has_needed && usages.iter().all(known) {
        return Ok(());
    }
    Err(format!("usages did not match [{} {} {}]", purpose, "digital signature", "key encipherment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Asked {
        Asked {
            common_name: "system:node:n1".into(),
            organizations: vec!["system:nodes".into()],
            ..Asked::default()
        }
    }

    fn check_all(signer: &str, asked: &Asked, usages: &[&str], wrong: &str) {
        let usages: Vec<String> = usages.iter().map(ToString::to_string).collect();
        let said = check(signer, asked, &usages).err().unwrap_or_default();
        assert!(said.starts_with(wrong) && said.is_empty() == wrong.is_empty(), "{signer} {asked:?}: {said}");
    }

    #[test]
    fn a_client_authenticates_and_does_nothing_else() {
        let anybody = Asked { common_name: "jane".into(), ..Asked::default() };
        check_all(CLIENT, &anybody, &["client auth"], "");
        check_all(CLIENT, &anybody, &["client auth", "key encipherment", "digital signature"], "");
        check_all(CLIENT, &anybody, &["digital signature"], "missing required usage");
        check_all(CLIENT, &anybody, &["client auth", "server auth"], "invalid usage");
        check_all("example.com/own", &anybody, &["client auth"], "unrecognized signerName");
        check_all(LEGACY, &anybody, &["any"], "");
    }

    #[test]
    fn a_kubelets_certificates_are_for_a_node() {
        let client = ["digital signature", "client auth"];
        check_all(KUBELET_CLIENT, &node(), &client, "");
        check_all(KUBELET_CLIENT, &node(), &["digital signature", "client auth", "key encipherment"], "");
        check_all(KUBELET_CLIENT, &node(), &["client auth"], "usages did not match");
        let mut other = node();
        other.organizations.push("system:masters".into());
        check_all(KUBELET_CLIENT, &other, &client, "subject organization is not system:nodes");
        check_all(
            KUBELET_CLIENT,
            &Asked { common_name: "n1".into(), ..node() },
            &client,
            "subject common name",
        );
        check_all(
            KUBELET_CLIENT,
            &Asked { dns: vec!["n1".into()], ..node() },
            &client,
            "DNS subjectAltNames",
        );

        let server = ["digital signature", "server auth", "key encipherment"];
        let serving = Asked { addresses: vec!["10.0.0.1".parse().unwrap()], ..node() };
        check_all(KUBELET_SERVING, &serving, &server, "");
        check_all(KUBELET_SERVING, &node(), &server, "DNS or IP subjectAltName is required");
        check_all(KUBELET_SERVING, &serving, &client, "usages did not match");
        let mail = Asked { emails: vec!["a@b".into()], ..serving };
        check_all(KUBELET_SERVING, &mail, &server, "Email subjectAltNames");
    }
}
