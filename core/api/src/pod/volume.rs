//! What is wrong with a Pod's volumes. What [`projected`] volumes carry stands there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{env, projected};
use crate::{
    access::{entries, has, int, list, present, text},
    field::FieldError,
    kinds::claim,
    quantity::Quantity,
    validate::{Errors, driver_name, labels, metadata, names, obey, one_of, optional_one_of, required},
};

const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// What each source must say, and in which field.
const NEEDED: [(&str, &[&str]); 24] = [
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("secret", &["secretName"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("quobyte", &["registry", "volume"]),
    ("flexVolume", &["driver"]),
    ("configMap", &["name"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("storageos", &["volumeName"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", &["driver"]),
    ("ephemeral", &["volumeClaimTemplate"]),
    ("local", &["path"]),
];

/// Checks the volumes of the spec at `path` and gives them by name, for mounts to refer to.
pub fn validate<'a>(volumes: &'a [Value], path: &str, errors: &mut Errors) -> BTreeMap<&'a str, &'a Value> {
    let mut known = BTreeMap::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = format!("{path}.volumes[{index}]");
        let before = errors.len();
        sources(volume, &path, errors);
        let (name, field) = (text(volume, "/name"), format!("{path}.name"));
        match name {
            "" => errors.push(FieldError::required(&*field, "")),
            _ => obey(names::dns_label, name, &field, errors),
        }
        if known.contains_key(name) {
            errors.push(FieldError::duplicate(field, &name.into()));
        }
        if errors.len() == before {
            known.insert(name, volume);
        }
    }
    known
}

fn sources(volume: &Value, path: &str, errors: &mut Errors) {
    let sources: Vec<&String> = volume
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| *key != "name" && !value.is_null())
        .map(|(key, _)| key)
        .collect();
    match sources.as_slice() {
        [] => errors.push(FieldError::required(path, "must specify a volume type")),
        [kind, rest @ ..] => {
            source(kind, &volume[kind.as_str()], &format!("{path}.{kind}"), errors);
            let more = rest.iter().map(|key| format!("{path}.{key}"));
            errors.extend(
                more.map(|field| FieldError::forbidden(field, "may not specify more than 1 volume type")),
            );
        }
    }
}

/// One source, of a Pod's volume or of a PersistentVolume.
pub fn source(kind: &str, source: &Value, path: &str, errors: &mut Errors) {
    let needed = NEEDED.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, needed)| needed);
    for key in needed {
        let empty = source.get(key).and_then(Value::as_array).is_some_and(Vec::is_empty);
        if empty {
            errors.push(FieldError::required(format!("{path}.{key}"), ""));
        }
        required(source, key, path, errors);
    }
    match kind {
        "emptyDir" => empty_dir(source, path, errors),
        "hostPath" | "local" => on_node(source, path, errors),
        "gitRepo" => local_path(text(source, "/directory"), &format!("{path}.directory"), errors),
        "secret" | "configMap" => files(source, path, errors),
        "downwardAPI" => {
            mode(source, "defaultMode", path, errors);
            list(source, "/items").iter().for_each(|item| downward(item, path, errors));
        }
        "projected" => projected::validate(source, path, errors),
        "csi" => {
            driver_name(text(source, "/driver"), &format!("{path}.driver"), errors);
            errors.dedup();
            if has(source, "/nodePublishSecretRef") {
                let reference = source.get("nodePublishSecretRef").unwrap_or(&Value::Null);
                required(reference, "name", &format!("{path}.nodePublishSecretRef"), errors);
            }
        }
        "ephemeral" => {
            if let Some(template) = present(source, "/volumeClaimTemplate") {
                claim_template(template, &format!("{path}.volumeClaimTemplate"), errors);
            }
        }
        "image" => optional_one_of(source, "pullPolicy", path, &["Always", "IfNotPresent", "Never"], errors),
        _ => of_networks(kind, source, path, errors),
    }
}

fn empty_dir(source: &Value, path: &str, errors: &mut Errors) {
    let size = text(source, "/sizeLimit").parse::<Quantity>();
    if size.is_ok_and(|size| size.is_negative()) {
        let detail = "SizeLimit field must be a valid resource quantity";
        errors.push(FieldError::forbidden(format!("{path}.sizeLimit"), detail));
    }
}

fn on_node(source: &Value, path: &str, errors: &mut Errors) {
    if text(source, "/path").is_empty() && !path.ends_with(".local") {
        return errors.push(FieldError::required(format!("{path}.path"), ""));
    }
    no_steps_back(text(source, "/path"), &format!("{path}.path"), errors);
    if !text(source, "/type").is_empty() {
        one_of(source, "type", path, HOST_PATH_TYPES, errors);
    }
}

/// Storage of other machines.
fn of_networks(kind: &str, source: &Value, path: &str, errors: &mut Errors) {
    let mut refuse = |key: &str, detail: &str| {
        errors.push(FieldError::invalid(format!("{path}.{key}"), &source[key], detail));
    };
    match kind {
        "nfs" if !text(source, "/path").starts_with('/') => refuse("path", "must be an absolute path"),
        "gcePersistentDisk" | "awsElasticBlockStore"
            if int(source, "/partition").is_some_and(|n| !(0..=255).contains(&n)) =>
        {
            refuse("partition", "must be between 0 and 255, inclusive");
        }
        "iscsi" => {
            let iqn = text(source, "/iqn");
            if !iqn.is_empty() && !["iqn", "eui", "naa"].iter().any(|prefix| iqn.starts_with(prefix)) {
                refuse("iqn", "must be valid format starting with iqn, eui, or naa");
            }
            if int(source, "/lun").is_some_and(|n| !(0..=255).contains(&n)) {
                refuse("lun", "must be between 0 and 255, inclusive");
            }
        }
        "fc" => {
            let (names, ids) = (list(source, "/targetWWNs"), list(source, "/wwids"));
            if !names.is_empty() && !ids.is_empty() {
                refuse("targetWWNs", "targetWWNs and wwids can not be specified simultaneously");
            }
            if int(source, "/lun").is_some_and(|n| !(0..=255).contains(&n)) {
                refuse("lun", "must be between 0 and 255, inclusive");
            }
            if names.is_empty() && ids.is_empty() {
                let detail = "must specify either targetWWNs or wwids, but not both";
                errors.push(FieldError::required(format!("{path}.targetWWNs"), detail));
            } else if !names.is_empty() && !has(source, "/lun") {
                let detail = "lun is required if targetWWNs is specified";
                errors.push(FieldError::required(format!("{path}.lun"), detail));
            }
        }
        "flexVolume" => {
            for (key, _) in entries(source, "/options") {
                let domain = format!(".{}", key.split('/').next().unwrap_or_default().to_lowercase());
                if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
                    let detail = "kubernetes.io and k8s.io namespaces are reserved";
                    let field = format!("{path}.options[{key}]");
                    errors.push(FieldError::invalid(field, &key.as_str().into(), detail));
                }
            }
        }
        _ => {}
    }
}

fn claim_template(template: &Value, path: &str, errors: &mut Errors) {
    let meta = template.get("metadata").unwrap_or(&Value::Null);
    metadata::annotations(meta, &format!("{path}.metadata"), errors);
    labels::labels(meta.get("labels"), &format!("{path}.metadata.labels"), errors);
    for (key, _) in
        entries(template, "/metadata").filter(|(key, _)| !["annotations", "labels"].contains(&key.as_str()))
    {
        errors.push(FieldError::forbidden(format!("{path}.metadata.{key}"), "cannot be set"));
    }
    claim::spec(template.get("spec").unwrap_or(&Value::Null), &format!("{path}.spec"), errors);
}

/// The files of a Secret or ConfigMap.
pub fn files(source: &Value, path: &str, errors: &mut Errors) {
    mode(source, "defaultMode", path, errors);
    for (index, item) in list(source, "/items").iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        required(item, "key", &path, errors);
        required(item, "path", &path, errors);
        file_path(text(item, "/path"), &format!("{path}.path"), errors);
        mode(item, "mode", &path, errors);
    }
}

pub fn mode(source: &Value, key: &str, path: &str, errors: &mut Errors) {
    if let Some(mode) = int(source, &format!("/{key}")).filter(|mode| !(0..=0o777).contains(mode)) {
        errors.push(FieldError::invalid(format!("{path}.{key}"), &mode.into(), MODE));
    }
}

/// A file with a value of the Pod.
pub fn downward(file: &Value, path: &str, errors: &mut Errors) {
    required(file, "path", path, errors);
    file_path(text(file, "/path"), &format!("{path}.path"), errors);
    let (field, resource) = (present(file, "/fieldRef"), present(file, "/resourceFieldRef"));
    match (field, resource) {
        (Some(field), resource) => {
            env::field_of(field, &env::FILES, &format!("{path}.fieldRef"), errors);
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path, &"resource".into(), detail));
            }
        }
        (None, Some(resource)) => {
            env::resource_of(resource, true, &format!("{path}.resourceFieldRef"), errors);
        }
        (None, None) => {
            errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
        }
    }
    mode(file, "mode", path, errors);
}

/// A path that must stay inside its folder.
pub fn local_path(text: &str, field: &str, errors: &mut Errors) {
    if text.starts_with('/') {
        errors.push(FieldError::invalid(field, &text.into(), "must be a relative path"));
    }
    no_steps_back(text, field, errors);
}

/// As [`local_path`], and no name of the machinery that swaps files.
pub fn file_path(text: &str, field: &str, errors: &mut Errors) {
    local_path(text, field, errors);
    if text.starts_with("..") && !text.starts_with("../") && text != ".." {
        errors.push(FieldError::invalid(field, &text.into(), "must not start with '..'"));
    }
}

fn no_steps_back(text: &str, field: &str, errors: &mut Errors) {
    if text.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(field, &text.into(), "must not contain '..'"));
    }
}
