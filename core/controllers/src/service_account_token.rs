//! Secrets of the type `kubernetes.io/service-account-token`: filled with a token
//! of their account, and removed with it. For whoever can't ask for a token of
//! its own: such a token has no end.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use k8s_openapi::{
    ByteString,
    api::core::v1::{Secret, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    runtime::watcher,
};
use rcgen::{KeyPair, PublicKeyData};
use serde_json::json;
use sha2::{Digest, Sha256};
use tiphys_client::Cache;

use crate::{
    context::Context,
    error::{Error, found},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

const TYPE: &str = "kubernetes.io/service-account-token";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

/// The private key (PEM) that signs service account tokens.
#[derive(Clone, Default)]
pub struct TokenKey(pub String);

/// A key must not reach a log.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

struct Tokens {
    client: Client,
    secrets: Watched<Secret>,
    key: TokenKey,
    root_ca: String,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let (client, tasks) = (&context.client, &context.tasks);
    let only_tokens = watcher::Config::default().fields(&format!("type={TYPE}"));
    let cache = Cache::start(tasks, Api::all(client.clone()), only_tokens);
    let secrets: Watched<Secret> = Watched::start(tasks, cache, |_| None);
    let keys = queue.clone();
    secrets.subscribe(move |_, after| after.into_iter().for_each(|secret| keys.add(Key::of(&**secret))));
    let cache = Cache::start(tasks, Api::all(client.clone()), watcher::Config::default());
    let accounts: Watched<ServiceAccount> = Watched::start(tasks, cache, |_| None);
    let (keys, tokens) = (queue.clone(), secrets.clone());
    accounts.subscribe(move |before, after| {
        let account = after.or(before).expect("a change has a side");
        if before.map(|account| object::uid(&**account)) == after.map(|account| object::uid(&**account)) {
            return;
        }
        for secret in tokens.in_namespace(object::namespace(&**account)) {
            if object::annotation(&*secret, NAME) == Some(object::name(&**account)) {
                keys.add(Key::of(&*secret));
            }
        }
    });
    context.run(Controller {
        name: "service-account-token",
        workers: 1,
        queue,
        synced: vec![secrets.synced(), accounts.synced()],
        reconciler: Arc::new(Tokens {
            client: client.clone(),
            secrets,
            key: context.config.token_key.clone(),
            root_ca: context.config.root_ca_pem.clone(),
        }),
    });
}

#[async_trait]
impl Reconciler for Tokens {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(secret) = self.secrets.get(key).filter(|secret| !object::deleting(&**secret)) else {
            return Ok(Requeue::No);
        };
        let Some(name) = object::annotation(&*secret, NAME) else { return Ok(Requeue::No) };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &key.namespace);
        let uid = object::annotation(&*secret, UID);
        let account = found(accounts.get(name).await)?
            .filter(|account| uid.is_none_or(|uid| uid == object::uid(account)));
        let Some(account) = account else {
            self.remove(&secret).await?;
            return Ok(Requeue::No);
        };
        let missing = self.missing(&secret, &account)?;
        if missing.is_empty() && uid.is_some() {
            return Ok(Requeue::No);
        }
        let patch = json!({
            "metadata": {
                "resourceVersion": secret.metadata.resource_version,
                "annotations": {UID: object::uid(&account)},
            },
            "data": missing,
        });
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &key.namespace);
        found(api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
        Ok(Requeue::No)
    }
}

impl Tokens {
    /// What the Secret lacks.
    fn missing(
        &self,
        secret: &Secret,
        account: &ServiceAccount,
    ) -> Result<BTreeMap<&'static str, ByteString>, Error> {
        let there = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| &*bytes.0);
        let namespace = object::namespace(secret);
        let mut missing = BTreeMap::new();
        if there("token").is_none_or(<[u8]>::is_empty) {
            let token = sign(&self.key, namespace, object::name(secret), account).map_err(Error::Invalid)?;
            missing.insert("token", ByteString(token.into_bytes()));
        }
        for (key, wanted) in [("ca.crt", self.root_ca.as_str()), ("namespace", namespace)] {
            if there(key) != Some(wanted.as_bytes()) {
                missing.insert(key, ByteString(wanted.as_bytes().to_vec()));
            }
        }
        Ok(missing)
    }

    async fn remove(&self, secret: &Secret) -> Result<(), Error> {
        let only_this = Preconditions { uid: Some(object::uid(secret).to_owned()), resource_version: None };
        let params = DeleteParams::default().preconditions(only_this);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), object::namespace(secret));
        found(api.delete(object::name(secret), &params).await.map(|_| ()))?;
        Ok(())
    }
}

fn sign(key: &TokenKey, namespace: &str, secret: &str, account: &ServiceAccount) -> Result<String, String> {
    let name = object::name(account);
    let claims = json!({
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret,
        "kubernetes.io/serviceaccount/service-account.name": name,
        "kubernetes.io/serviceaccount/service-account.uid": object::uid(account),
        "sub": format!("system:serviceaccount:{namespace}:{name}"),
    });
    let pair = KeyPair::from_pem(&key.0).map_err(|error| error.to_string())?;
    let id = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()));
    let header = Header { typ: None, kid: Some(id), ..Header::new(Algorithm::ES256) };
    let key = EncodingKey::from_ec_pem(key.0.as_bytes()).map_err(|error| error.to_string())?;
    jsonwebtoken::encode(&header, &claims, &key).map_err(|error| error.to_string())
}
