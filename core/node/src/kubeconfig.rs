//! Kubeconfig files: made for a credential, merged into a user's, taken out again.
//!
//! The user's file is theirs: entries of other names are kept as they stand,
//! and the file is replaced in one rename with mode 0600 and its owner kept.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::files;

/// Who to be towards which server.
pub struct Credential<'a> {
    pub server: &'a str,
    pub ca_pem: &'a str,
    pub certificate_pem: &'a str,
    pub key_pem: &'a str,
}

/// A kubeconfig with one cluster, user and context, all called `name`.
pub fn document(name: &str, credential: &Credential<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "server": credential.server,
            "certificate-authority-data": STANDARD.encode(credential.ca_pem),
        }}],
        "users": [{"name": name, "user": {
            "client-certificate-data": STANDARD.encode(credential.certificate_pem),
            "client-key-data": STANDARD.encode(credential.key_pem),
        }}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    })
}

/// The document as YAML.
///
/// # Errors
/// None in practice: the document is plain data.
pub fn to_yaml(document: &Value) -> anyhow::Result<String> {
    serde_saphyr::to_string(document).context("kubeconfig could not be written as YAML")
}

/// The file that the invoking user's kubectl reads: `$KUBECONFIG`'s first, else
/// `.kube/config` in the home of the user behind sudo.
pub fn user_file() -> PathBuf {
    if let Some(list) = std::env::var_os("KUBECONFIG")
        && let Some(first) = std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty())
    {
        return first;
    }
    invoking_home().join(".kube/config")
}

fn invoking_home() -> PathBuf {
    let sudo_home = std::env::var("SUDO_USER")
        .ok()
        .and_then(|name| nix::unistd::User::from_name(&name).ok().flatten())
        .map(|user| user.dir);
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    sudo_home.or_else(home).unwrap_or_else(|| PathBuf::from("/root"))
}

/// The file's current context, to be the current one again afterwards.
///
/// # Errors
/// As [`merge`]: ask before anything is built.
pub fn current_context(path: &Path) -> anyhow::Result<Option<String>> {
    let config = read(path)?.unwrap_or_default();
    Ok(config["current-context"].as_str().filter(|name| !name.is_empty()).map(str::to_owned))
}

/// Puts the document's entries into the file and makes its context the current one.
///
/// # Errors
/// A file that isn't a kubeconfig (it is left as it is), or the file system's.
pub fn merge(path: &Path, addition: &Value) -> anyhow::Result<()> {
    let mut config = read(path)?.unwrap_or_else(|| json!({"apiVersion": "v1", "kind": "Config"}));
    for list in ["clusters", "users", "contexts"] {
        for entry in addition[list].as_array().into_iter().flatten() {
            put_named(&mut config, list, entry.clone());
        }
    }
    config["current-context"] = addition["current-context"].clone();
    write(path, &config)
}

/// Takes the entries called `name` out; a file that has none is left untouched. The
/// context `before` becomes the current one again if it still is there and the user
/// has chosen no other. A file in which nothing is left goes.
///
/// # Errors
/// As [`merge`].
pub fn remove(path: &Path, name: &str, before: Option<&str>) -> anyhow::Result<()> {
    let Some(mut config) = read(path)? else { return Ok(()) };
    let mut found = false;
    for list in ["clusters", "users", "contexts"] {
        if let Some(entries) = config[list].as_array_mut() {
            let before = entries.len();
            entries.retain(|entry| entry["name"] != name);
            found |= entries.len() != before;
        }
    }
    if config["current-context"] == name {
        let mut contexts = config["contexts"].as_array().into_iter().flatten();
        let before = before.filter(|before| contexts.any(|context| context["name"] == *before));
        config["current-context"] = json!(before.unwrap_or_default());
        found = true;
    }
    match found {
        true if says_nothing(&config) && !path.is_symlink() => {
            fs::remove_file(path).with_context(|| format!("{} can't be removed", path.display()))
        }
        true => write(path, &config),
        false => Ok(()),
    }
}

/// Whether it holds no more than the words around an empty kubeconfig.
fn says_nothing(config: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    let mut fields = config.as_object().into_iter().flatten();
    fields.all(|(key, value)| matches!(key.as_str(), "apiVersion" | "kind") || is_empty(value))
}

fn put_named(config: &mut Value, list: &str, entry: Value) {
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    let entries = config[list].as_array_mut().expect("made an array above");
    match entries.iter_mut().find(|old| old["name"] == entry["name"]) {
        Some(old) => *old = entry,
        None => entries.push(entry),
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Value>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} can't be read", path.display())),
    };
    if text.trim().is_empty() {
        return Ok(None);
    }
    let config: Value = serde_saphyr::from_str(&text)
        .with_context(|| format!("{} is not a kubeconfig; it was left as it is", path.display()))?;
    anyhow::ensure!(config.is_object(), "{} is not a kubeconfig; it was left as it is", path.display());
    Ok(Some(config))
}

fn write(path: &Path, config: &Value) -> anyhow::Result<()> {
    // Who keeps the file elsewhere and links to it goes on doing so.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let path = target.as_path();
    let (owner, group) = owner_for(path);
    let folder_is_new = path.parent().is_some_and(|folder| !folder.exists());
    files::write_atomically(path, to_yaml(config)?.as_bytes(), 0o600)
        .with_context(|| format!("{} can't be written", path.display()))?;
    std::os::unix::fs::chown(path, Some(owner), Some(group)).context("kubeconfig's owner can't be set")?;
    if folder_is_new && let Some(folder) = path.parent() {
        std::os::unix::fs::chown(folder, Some(owner), Some(group)).context("owner of .kube can't be set")?;
    }
    Ok(())
}

/// The owner the file has, else the user behind sudo, else ourselves.
fn owner_for(path: &Path) -> (u32, u32) {
    if let Ok(metadata) = fs::metadata(path) {
        return (metadata.uid(), metadata.gid());
    }
    let id = |name: &str| std::env::var(name).ok()?.parse().ok();
    match (id("SUDO_UID"), id("SUDO_GID")) {
        (Some(user), Some(group)) => (user, group),
        _ => (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(server: &str) -> Value {
        document("tiphys", &Credential { server, ca_pem: "ca", certificate_pem: "cert", key_pem: "key" })
    }

    fn names(path: &Path, list: &str) -> Vec<String> {
        let config = read(path).expect("readable").expect("there");
        config[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|e| e["name"].as_str().unwrap_or("").into())
            .collect()
    }

    #[test]
    fn merging_keeps_what_is_the_users_and_removing_leaves_only_that() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kube/config");
        files::write_atomically(
            &path,
            b"apiVersion: v1\nkind: Config\ncurrent-context: work\nclusters:\n- name: work\n  cluster: {server: x}\ncontexts:\n- name: work\n  context: {cluster: work}\n",
            0o600,
        )
        .expect("written");
        let before = current_context(&path).expect("readable");
        assert_eq!(before.as_deref(), Some("work"));
        merge(&path, &ours("https://127.0.0.1:1")).expect("merged");
        merge(&path, &ours("https://127.0.0.1:2")).expect("merged again");
        assert_eq!(names(&path, "clusters"), ["work", "tiphys"]);
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert_eq!(current_context(&path).expect("readable").as_deref(), Some("tiphys"));
        remove(&path, "tiphys", before.as_deref()).expect("removed");
        assert_eq!(names(&path, "clusters"), ["work"]);
        assert!(names(&path, "users").is_empty());
        assert_eq!(current_context(&path).expect("readable"), before);
    }

    #[test]
    fn the_current_context_goes_back_only_to_one_that_is_there_and_from_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        let check = |current: &str, before: Option<&str>, after: Option<&str>| {
            let text = format!("current-context: {current}\ncontexts: [{{name: work}}, {{name: tiphys}}]\n");
            fs::write(&path, text).expect("written");
            remove(&path, "tiphys", before).expect("removed");
            assert_eq!(current_context(&path).expect("readable").as_deref(), after, "{current} {before:?}");
        };
        check("tiphys", Some("work"), Some("work"));
        check("tiphys", Some("gone"), None);
        check("tiphys", None, None);
        check("work", Some("other"), Some("work"));
    }

    #[test]
    fn a_file_that_held_only_ours_goes_and_a_link_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        merge(&file, &ours("https://127.0.0.1:1")).expect("merged");
        remove(&file, "tiphys", None).expect("removed");
        assert!(!file.exists());
        fs::write(&file, "").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        merge(&link, &ours("https://127.0.0.1:1")).expect("merged");
        assert_eq!(names(&file, "contexts"), ["tiphys"]);
        remove(&link, "tiphys", None).expect("removed");
        assert!(link.is_symlink() && file.exists());
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        fs::write(&path, "just: [text").expect("written");
        assert!(merge(&path, &ours("https://127.0.0.1:1")).is_err());
        assert_eq!(fs::read_to_string(&path).expect("readable"), "just: [text");
    }
}
