//! What the files of a volume hold: keys of ConfigMaps and Secrets, fields of the
//! Pod, service account tokens.

use std::{collections::BTreeMap, path::Path, time::Instant};

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume};

use super::{files::File, token};
use crate::{
    pod::{
        downward::{self, NodeFacts},
        spec,
    },
    sources::{Content, Source, SourceKind, Sources},
};

/// Where values come from.
pub(crate) struct ContentContext<'a> {
    pub pod: &'a Pod,
    pub node: &'a NodeFacts,
    pub sources: &'a Sources,
    pub client: &'a kube::Client,
}

/// The files of a volume, and when they go stale.
#[derive(Default)]
pub(super) struct Gathered {
    pub files: BTreeMap<String, File>,
    pub renew_at: Option<Instant>,
}

const DEFAULT_MODE: i32 = 0o644;

/// The folder's name for a volume of files; `None` for other volumes.
pub(super) fn kind(volume: &Volume) -> Option<&'static str> {
    match volume {
        Volume { config_map: Some(_), .. } => Some("configmap"),
        Volume { secret: Some(_), .. } => Some("secret"),
        Volume { projected: Some(_), .. } => Some("projected"),
        Volume { downward_api: Some(_), .. } => Some("downward-api"),
        _ => None,
    }
}

/// Whether the files must not reach a disk.
pub(super) fn is_secret(volume: &Volume) -> bool {
    volume.secret.is_some() || volume.projected.is_some()
}

pub(super) async fn gather(
    context: &ContentContext<'_>,
    volume: &Volume,
    at: &Path,
) -> Result<Gathered, String> {
    let mut gathered = Gathered::default();
    if let Some(map) = &volume.config_map {
        let mode = map.default_mode.unwrap_or(DEFAULT_MODE);
        let keys = Keys { name: &map.name, items: map.items.as_deref(), optional: map.optional, mode };
        keys.gather(context, SourceKind::ConfigMap, &mut gathered).await?;
    }
    if let Some(secret) = &volume.secret {
        let name = secret.secret_name.as_deref().unwrap_or_default();
        let mode = secret.default_mode.unwrap_or(DEFAULT_MODE);
        let keys = Keys { name, items: secret.items.as_deref(), optional: secret.optional, mode };
        keys.gather(context, SourceKind::Secret, &mut gathered).await?;
    }
    if let Some(downward) = &volume.downward_api {
        let mode = downward.default_mode.unwrap_or(DEFAULT_MODE);
        fields(context, downward.items.as_deref().unwrap_or_default(), mode, &mut gathered)?;
    }
    if let Some(projected) = &volume.projected {
        let mode = projected.default_mode.unwrap_or(DEFAULT_MODE);
        for source in projected.sources.iter().flatten() {
            if let Some(map) = &source.config_map {
                let keys =
                    Keys { name: &map.name, items: map.items.as_deref(), optional: map.optional, mode };
                keys.gather(context, SourceKind::ConfigMap, &mut gathered).await?;
            }
            if let Some(secret) = &source.secret {
                let (name, items) = (secret.name.as_str(), secret.items.as_deref());
                let keys = Keys { name, items, optional: secret.optional, mode };
                keys.gather(context, SourceKind::Secret, &mut gathered).await?;
            }
            if let Some(downward) = &source.downward_api {
                fields(context, downward.items.as_deref().unwrap_or_default(), mode, &mut gathered)?;
            }
            if let Some(wanted) = &source.service_account_token {
                let token = token::current(context, wanted, &at.join(&wanted.path)).await?;
                let renew_at = Some(token.renew_at);
                gathered.renew_at = gathered.renew_at.into_iter().chain(renew_at).min();
                gathered.files.insert(wanted.path.clone(), token::file(context.pod, token.text, mode));
            }
        }
    }
    Ok(gathered)
}

/// Keys of one ConfigMap or Secret.
struct Keys<'a> {
    name: &'a str,
    /// All keys under their own names, if nothing is said.
    items: Option<&'a [KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
}

impl Keys<'_> {
    async fn gather(
        &self,
        context: &ContentContext<'_>,
        kind: SourceKind,
        gathered: &mut Gathered,
    ) -> Result<(), String> {
        let namespace = spec::namespace(context.pod).to_owned();
        let source = Source { kind, namespace, name: self.name.to_owned() };
        let content = context.sources.fetch(&source).await.map_err(|error| error.to_string())?;
        let named = match kind {
            SourceKind::ConfigMap => "configmap",
            SourceKind::Secret => "secret",
        };
        match content {
            Some(content) => self.choose(named, content, gathered),
            None if self.optional == Some(true) => Ok(()),
            None => Err(format!("{named} {:?} not found", self.name)),
        }
    }

    fn choose(&self, named: &str, mut content: Content, gathered: &mut Gathered) -> Result<(), String> {
        let Some(items) = self.items.filter(|items| !items.is_empty()) else {
            let files = content.into_iter().map(|(key, bytes)| (key, file(bytes, self.mode)));
            gathered.files.extend(files);
            return Ok(());
        };
        for item in items {
            let mode = item.mode.unwrap_or(self.mode);
            match content.remove(&item.key) {
                Some(bytes) => {
                    gathered.files.insert(item.path.clone(), file(bytes.clone(), mode));
                    // The same key may be asked for under another path.
                    content.insert(item.key.clone(), bytes);
                }
                None if self.optional == Some(true) => {}
                None => return Err(format!("{named} {:?} has no key {:?}", self.name, item.key)),
            }
        }
        Ok(())
    }
}

fn fields(
    context: &ContentContext<'_>,
    items: &[DownwardAPIVolumeFile],
    mode: i32,
    gathered: &mut Gathered,
) -> Result<(), String> {
    for item in items {
        let value = if let Some(field) = &item.field_ref {
            downward::field(context.pod, context.node, &field.field_path)?
        } else if let Some(selector) = &item.resource_field_ref {
            let name = selector.container_name.as_deref().unwrap_or_default();
            let container = spec::original(context.pod, name);
            let container = container.ok_or_else(|| format!("the Pod has no container {name:?}"))?;
            downward::resource(container, context.node, selector)?
        } else {
            return Err(format!("the item {:?} names no field", item.path));
        };
        let file = file(value.into_bytes(), item.mode.unwrap_or(mode));
        gathered.files.insert(item.path.clone(), file);
    }
    Ok(())
}

fn file(bytes: Vec<u8>, mode: i32) -> File {
    File { bytes, mode: u32::try_from(mode).unwrap_or(0o644) & 0o777, owner: None }
}
