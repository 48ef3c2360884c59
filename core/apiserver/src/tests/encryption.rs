//! Secrets at rest: what the disk shows, and what a change of keys does.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tiphys_lifecycle::Tasks;

use super::harness::{Harness, LIMIT, event};
use crate::encryption::{Encrypted, Keyring};

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const KEY: &str = "/registry/secrets/default/s";
/// Not likely to be on a disk by chance, in no way that it may be written.
const PLAIN: &str = "correct-horse-battery-staple-4711";

/// Keys by name, the first one writes; `identity` is the provider of that name.
fn keyring(providers: &[&str]) -> Keyring {
    let provider = |name: &&str| match *name {
        "identity" => json!({ "identity": {} }),
        name => {
            let secret = BASE64_STANDARD.encode(format!("{name:-<32}"));
            json!({ "aesgcm": { "keys": [{ "name": name, "secret": secret }] } })
        }
    };
    let configuration = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{
            "resources": ["secrets"],
            "providers": providers.iter().map(provider).collect::<Vec<_>>(),
        }],
    });
    Keyring::parse(&configuration.to_string()).expect("a configuration")
}

fn secret() -> Value {
    json!({ "metadata": { "name": "s" }, "stringData": { "password": PLAIN } })
}

async fn raw(api: &Harness) -> Vec<u8> {
    api.store.get(KEY, None).await.expect("readable").expect("there").value.to_vec()
}

async fn password(api: &Harness) -> String {
    let found = api.get(&format!("{SECRETS}/s")).await.expect(200);
    let bytes = BASE64_STANDARD.decode(found["data"]["password"].as_str().expect("text")).expect("base64");
    String::from_utf8(bytes).expect("text")
}

/// Waits until the Secret's value begins with this.
async fn until_raw(api: &Harness, begin: &str) {
    let written = async {
        let mut watch = api.store.watch(KEY, api.store.revision().await.expect("a revision") + 1).await;
        while !raw(api).await.starts_with(begin.as_bytes()) {
            let watch = watch.as_mut().expect("a watch");
            watch.next().await.expect("it goes on").expect("it goes on");
        }
    };
    tokio::time::timeout(LIMIT, written).await.expect("written anew");
}

fn holds(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).expect("readable").any(|entry| {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        let bytes = fs::read(&path).expect("readable");
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[tokio::test]
async fn abuse_32_the_disk_shows_ciphertext() {
    let api = Harness::start_encrypted(keyring(&["one"])).await;
    api.post(SECRETS, &secret()).await.expect(201);
    let encoded = BASE64_STANDARD.encode(PLAIN);
    assert!(raw(&api).await.starts_with(b"k8s:enc:aesgcm:v1:one:"));
    assert_eq!(password(&api).await, PLAIN);
    let change = json!({ "metadata": { "labels": { "a": "b" } } });
    api.patch(&format!("{SECRETS}/s"), "merge", &change).await.expect(200);
    api.config_map("seen", json!({}), json!({ "on": "disk-in-plain-4711" })).await;
    let (folder, backing) = api.stop().await;
    let disk = backing.disk(folder.path());
    assert!(holds(&disk, b"disk-in-plain-4711"), "nothing would be found this way");
    for needle in [PLAIN, &encoded] {
        assert!(!holds(&disk, needle.as_bytes()), "{needle} is on the disk");
    }
}

#[tokio::test]
async fn watches_and_lists_show_what_was_written() {
    let api = Harness::start_encrypted(keyring(&["one"])).await;
    let mut watch = api.watch(&format!("{SECRETS}?watch=1")).await;
    api.post(SECRETS, &secret()).await.expect(201);
    let added = watch.next().await.expect("an event");
    assert_eq!(added["object"]["data"]["password"], BASE64_STANDARD.encode(PLAIN));
    let list = api.get(SECRETS).await.expect(200);
    assert_eq!(list["items"][0]["data"]["password"], BASE64_STANDARD.encode(PLAIN));
    let stale = json!({ "metadata": { "name": "s", "resourceVersion": "1" }, "data": {} });
    api.put(&format!("{SECRETS}/s"), &stale).await.refused(409, "Conflict");
    api.delete(&format!("{SECRETS}/s")).await.expect(200);
    assert_eq!(watch.event().await, event("DELETED", "s"));
}

#[tokio::test]
async fn a_key_is_rotated_by_a_restart() {
    let api = Harness::start().await;
    api.post(SECRETS, &secret()).await.expect(201);
    assert!(raw(&api).await.starts_with(b"{"));
    let api = api.restart_with(keyring(&["one", "identity"])).await;
    until_raw(&api, "k8s:enc:aesgcm:v1:one:").await;
    let api = api.restart_with(keyring(&["two", "one"])).await;
    until_raw(&api, "k8s:enc:aesgcm:v1:two:").await;
    let api = api.restart_with(keyring(&["two"])).await;
    assert_eq!(password(&api).await, PLAIN);
    let api = api.restart_with(keyring(&["identity", "two"])).await;
    until_raw(&api, "{").await;
    assert_eq!(password(&api).await, PLAIN);
}

#[tokio::test]
async fn a_lost_key_is_told_at_start() {
    let api = Harness::start_encrypted(keyring(&["one"])).await;
    api.post(SECRETS, &secret()).await.expect(201);
    let (folder, backing) = api.stop().await;
    for wrong in [Keyring::default(), keyring(&["two", "identity"])] {
        let tasks = Tasks::new();
        let store = backing.open(folder.path(), &tasks).await;
        let refused = Encrypted::open(store, wrong, &tasks).await.err().expect("refused").to_string();
        assert!(refused.contains(KEY) && refused.contains("aesgcm:v1:one"), "{refused}");
        assert!(tasks.shutdown(LIMIT).await.is_empty());
    }
}
