//! The certificate that the log collectors' doors show, in a Secret: issued by the
//! cluster's authority, unless somebody has put one there.
//!
//! One of ours is known by its annotation; it is issued anew when two thirds of its
//! time are over, or when the authority is another. Collectors read it again when
//! the kubelet swaps the Secret's volume.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use tiphys_api::names::SYSTEM_NAMESPACE;
use tiphys_apiserver::pki::ClusterPki;
use tiphys_lifecycle::{OnError, Tasks};

const SECRET: &str = "tiphys-logs-tls";
/// Until when a certificate of ours is left alone.
const ANNOTATION: &str = "tiphys.io/renew-after";
/// Two thirds of a certificate's year.
const RENEW_AFTER: Duration = Duration::from_secs(243 * 24 * 3600);
/// How often it is looked at; what ends a certificate is the clock.
const LOOK: Duration = Duration::from_secs(12 * 3600);
/// After an error.
const RETRY: Duration = Duration::from_secs(10);

/// Keeps the Secret until `tasks` stops.
pub fn keep(client: Client, pki: Arc<ClusterPki>, tasks: &Tasks) {
    tasks.spawn("log doors certificate", OnError::Log, async move {
        let secrets: Api<Secret> = Api::namespaced(client, SYSTEM_NAMESPACE);
        loop {
            let pause = match ensure(&secrets, &pki).await {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::warn!(error = %format!("{error:#}"), secret = SECRET, "certificate of the doors for logs can't be issued");
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
        #[expect(unreachable_code, reason = "it says the type")]
        Ok::<(), Infallible>(())
    });
}

async fn ensure(secrets: &Api<Secret>, pki: &ClusterPki) -> anyhow::Result<()> {
    let known = secrets.get_opt(SECRET).await?;
    let now = Timestamp::now();
    if !known.as_ref().is_none_or(|secret| is_due(secret, pki.ca_pem(), now)) {
        return Ok(());
    }
    let identity = pki.server("tiphys-logs", &names())?;
    let data = [
        ("tls.crt", identity.certificate_pem),
        ("tls.key", identity.key_pem),
        ("ca.crt", pki.ca_pem().to_owned()),
    ];
    let secret = Secret {
        metadata: kube::api::ObjectMeta {
            name: Some(SECRET.to_owned()),
            // Another server may be as far: the second one finds another version.
            resource_version: known.and_then(|secret| secret.metadata.resource_version),
            annotations: Some(BTreeMap::from([(ANNOTATION.to_owned(), (now + RENEW_AFTER).to_string())])),
            ..Default::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(data.map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes()))).into()),
        ..Secret::default()
    };
    secrets.patch(SECRET, &PatchParams::apply("tiphys").force(), &Patch::Apply(&secret)).await?;
    Ok(())
}

/// Where senders find the doors.
fn names() -> Vec<String> {
    let host = format!("tiphys-logs.{SYSTEM_NAMESPACE}");
    let long = ["", ".svc", ".svc.cluster.local"].map(|end| format!("{host}{end}"));
    ["tiphys-logs", "localhost", "127.0.0.1"].into_iter().map(str::to_owned).chain(long).collect()
}

/// Whether it is one of ours, and its time has come.
fn is_due(secret: &Secret, authority: &str, now: Timestamp) -> bool {
    let Some(after) = secret.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION)) else {
        return false;
    };
    let data = |name| secret.data.as_ref().and_then(|data: &BTreeMap<String, ByteString>| data.get(name));
    let is_of_authority = data("ca.crt").is_some_and(|known| known.0 == authority.as_bytes());
    let is_whole = data("tls.crt").is_some() && data("tls.key").is_some();
    !is_of_authority || !is_whole || after.parse::<Timestamp>().map_or(true, |after| after <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_renewed_in_time_and_anybody_elses_never() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().expect("a time");
        let check = |after: Option<&str>, files: &[&str], authority: &str, expected: bool| {
            let annotations = after.map(|after| BTreeMap::from([(ANNOTATION.to_owned(), after.to_owned())]));
            let data = files.iter().map(|name| ((*name).to_owned(), ByteString(b"x".to_vec()))).collect();
            let metadata = kube::api::ObjectMeta { annotations, ..Default::default() };
            let secret = Secret { metadata, data: Some(data), ..Secret::default() };
            assert_eq!(is_due(&secret, authority, now), expected, "{after:?} {files:?} {authority}");
        };
        let all = ["ca.crt", "tls.crt", "tls.key"];
        check(Some("2026-02-01T00:00:00Z"), &all, "x", false);
        check(Some("2026-01-31T12:00:00Z"), &all, "x", true);
        check(Some("some day"), &all, "x", true);
        check(Some("2026-02-01T00:00:00Z"), &all, "another", true);
        check(Some("2026-02-01T00:00:00Z"), &all[..2], "x", true);
        check(None, &all[1..], "another", false);
    }
}
