//! The cluster's keys where several servers share them: the authority's and the
//! one that signs service account tokens.
//!
//! On etcd the first server leaves two things in the store: the fingerprint of the
//! authority, and, with a cluster secret, the keys themselves, encrypted with it.
//! A server that comes later takes the keys from there, or has them in its data
//! folder (copied from another server) and is refused when they are others.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use tiphys_apiserver::pki::ClusterPki;
use tiphys_store::{Record, Store, Txn};

mod seal;

/// Where it stands in the store.
const KEY: &str = "/bootstrap/authority";
const FILES: [&str; 3] = ["ca.crt", "ca.key", "service-account.key"];

/// What the store holds.
#[derive(Serialize, Deserialize)]
struct Shared {
    /// SHA-256 of the authority's certificate.
    fingerprint: String,
    sealed: Option<seal::Sealed>,
}

/// The files' texts, in the order of [`FILES`].
type Keys = [String; 3];

/// The cluster's keys, made if this is its first server.
///
/// # Errors
/// Other keys than the cluster's, none and no secret, a wrong secret.
pub async fn load(store: &dyn Store, folder: &Path, secret: Option<&str>) -> anyhow::Result<ClusterPki> {
    loop {
        match store.get(KEY, None).await? {
            Some(record) => adopt(&record, folder, secret)?,
            None => {
                // Made beside its place: another server may be first.
                let fresh = fresh_folder(folder);
                let made = if folder.join(FILES[0]).exists() { folder } else { &fresh };
                ClusterPki::load_or_create(made)?;
                let shared = share(&read(made)?, secret)?;
                if !store.transact(Txn::create(KEY, shared, None)).await?.succeeded {
                    remove(&fresh)?;
                    continue;
                }
                if made != folder {
                    fs::rename(&fresh, folder)
                        .with_context(|| format!("{} can't be made", folder.display()))?;
                }
            }
        }
        return Ok(ClusterPki::load_or_create(folder)?);
    }
}

/// Makes the folder hold the cluster's keys, or says why it can't.
fn adopt(record: &Record, folder: &Path, secret: Option<&str>) -> anyhow::Result<()> {
    let shared: Shared =
        serde_json::from_slice(&record.value).context("the cluster's keys in the store can't be read")?;
    if folder.join(FILES[0]).exists() {
        let own = fingerprint(&read(folder)?[0]);
        ensure!(
            own == shared.fingerprint,
            "{} belongs to another cluster than the store: move it away, or name another store",
            folder.display()
        );
        return Ok(());
    }
    let (Some(sealed), Some(secret)) = (shared.sealed, secret) else {
        bail!(
            "the cluster on this store has keys already: give --cluster-secret-file as its first server \
             was given, or copy the folder pki of that server to {}",
            folder.display()
        );
    };
    let keys: Keys = serde_json::from_slice(&seal::open(&sealed, secret, KEY)?)?;
    ensure!(fingerprint(&keys[0]) == shared.fingerprint, "the cluster's keys in the store were changed");
    let fresh = fresh_folder(folder);
    remove(&fresh)?;
    for (name, text) in FILES.iter().zip(&keys) {
        crate::files::write_atomically(&fresh.join(name), text.as_bytes(), 0o600)?;
    }
    fs::rename(&fresh, folder).with_context(|| format!("{} can't be made", folder.display()))
}

fn share(keys: &Keys, secret: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let text = serde_json::to_vec(keys)?;
    let sealed = secret.map(|secret| seal::seal(&text, secret, KEY)).transpose()?;
    Ok(serde_json::to_vec(&Shared { fingerprint: fingerprint(&keys[0]), sealed })?)
}

fn read(folder: &Path) -> anyhow::Result<Keys> {
    let mut keys = Keys::default();
    for (name, text) in FILES.iter().zip(&mut keys) {
        let path = folder.join(name);
        *text = fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
    }
    Ok(keys)
}

fn fingerprint(certificate: &str) -> String {
    STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.as_bytes()))
}

fn fresh_folder(folder: &Path) -> PathBuf {
    folder.with_extension("new")
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tiphys_lifecycle::Tasks;
    use tiphys_store::Embedded;

    use super::*;

    const SECRET: &str = "a secret of the whole cluster";

    async fn loaded(store: &dyn Store, folder: &Path, secret: Option<&str>) -> Result<String, String> {
        let pki = load(store, folder, secret).await.map_err(|error| format!("{error:#}"))?;
        Ok(pki.ca_pem().to_owned() + pki.service_account_key())
    }

    #[tokio::test]
    async fn servers_share_the_first_ones_keys() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).join("pki");
        let tasks = Tasks::new();
        let store = Embedded::open(folder.path().join("store"), &tasks).await.unwrap();
        let (one, two) = (at("one"), at("two"));
        let (one, two) =
            tokio::join!(loaded(&*store, &one, Some(SECRET)), loaded(&*store, &two, Some(SECRET)),);
        let keys = one.unwrap();
        assert_eq!(two.unwrap(), keys, "of two first servers one was first");
        assert_eq!(loaded(&*store, &at("one"), None).await.unwrap(), keys, "it has them in its folder");
        assert!(loaded(&*store, &at("three"), None).await.unwrap_err().contains("--cluster-secret-file"));
        let wrong = loaded(&*store, &at("three"), Some("another secret of a cluster")).await;
        assert!(wrong.unwrap_err().contains("cluster secret is not the one"));
        ClusterPki::load_or_create(&at("four")).unwrap();
        assert!(loaded(&*store, &at("four"), Some(SECRET)).await.unwrap_err().contains("another cluster"));
        let raw = store.get(KEY, None).await.unwrap().unwrap().value;
        assert!(!raw.windows(7).any(|window| window == b"PRIVATE"), "keys are in the store in plain");
        tasks.shutdown(std::time::Duration::from_secs(120)).await;
    }

    #[tokio::test]
    async fn without_a_secret_the_keys_stay_in_the_folder() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let tasks = Tasks::new();
        let store = Embedded::open(folder.path().join("store"), &tasks).await.unwrap();
        let one = folder.path().join("one");
        loaded(&*store, &one, None).await.unwrap();
        let refused = loaded(&*store, &folder.path().join("two"), Some(SECRET)).await;
        assert!(refused.unwrap_err().contains("copy the folder pki"));
        tasks.shutdown(std::time::Duration::from_secs(120)).await;
    }
}
