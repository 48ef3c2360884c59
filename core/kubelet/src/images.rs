//! Images of containers: there, or pulled as the policy says.

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::{Container, Pod};
use serde::Deserialize;
use tiphys_runtime::cri::{Credentials, Cri};

use crate::{
    arriving::Arriving,
    events::{Kind, Recorder},
    pod::{security::ImageUser, spec},
    sources::{Source, SourceKind, Sources},
};

/// An image that is on the node.
pub(crate) struct Present {
    /// Its id: what the container is made from.
    pub id: String,
    pub user: ImageUser,
}

/// Why an image is not there: reason as `kubectl` shows it, and message.
pub(crate) struct Missing {
    pub reason: &'static str,
    pub message: String,
}

/// The names under which an image's absence is known.
pub(crate) const PULL_FAILED: &str = "ErrImagePull";
pub(crate) const NEVER_PULL: &str = "ErrImageNeverPull";
const INSPECT_FAILED: &str = "ImageInspectError";
const INVALID_NAME: &str = "InvalidImageName";

/// Takes care that a container's image is on the node.
pub(crate) async fn ensure(
    cri: &Cri,
    sources: &Sources,
    arriving: &Arriving,
    events: &Recorder,
    pod: &Pod,
    container: &Container,
) -> Result<Present, Missing> {
    let name = container.image.as_deref().unwrap_or_default();
    if name.is_empty() || name.chars().any(char::is_whitespace) {
        return Err(Missing { reason: INVALID_NAME, message: format!("couldn't parse image name {name:?}") });
    }
    let policy = policy(container);
    arriving.wait(name).await;
    let present = look(cri, name).await?;
    match present {
        Some(present) if policy != "Always" => {
            let message = format!("Container image \"{name}\" already present on machine");
            events.container(pod, &container.name, Kind::Normal, "Pulled", message);
            return Ok(present);
        }
        None if policy == "Never" => {
            let message = format!("Container image \"{name}\" is not present with pull policy of Never");
            events.container(pod, &container.name, Kind::Warning, NEVER_PULL, &message);
            return Err(Missing { reason: NEVER_PULL, message });
        }
        _ => {}
    }
    events.container(pod, &container.name, Kind::Normal, "Pulling", format!("Pulling image \"{name}\""));
    let started = std::time::Instant::now();
    if let Err(message) = pull(cri, sources, pod, name).await {
        let said = format!("Failed to pull image \"{name}\": {message}");
        events.container(pod, &container.name, Kind::Warning, "Failed", said);
        events.container(pod, &container.name, Kind::Warning, "Failed", format!("Error: {PULL_FAILED}"));
        return Err(Missing { reason: PULL_FAILED, message });
    }
    let message = format!("Successfully pulled image \"{name}\" in {} ms", started.elapsed().as_millis());
    events.container(pod, &container.name, Kind::Normal, "Pulled", message);
    let message = "the image was pulled, but is not there".to_owned();
    look(cri, name).await?.ok_or(Missing { reason: INSPECT_FAILED, message })
}

/// Said, or by the tag: what may change under its name is asked for each time.
fn policy(container: &Container) -> &str {
    let by_tag = || {
        let name = container.image.as_deref().unwrap_or_default();
        if tiphys_api::pod::defaults::pulls_always(name) { "Always" } else { "IfNotPresent" }
    };
    container.image_pull_policy.as_deref().filter(|policy| !policy.is_empty()).unwrap_or_else(by_tag)
}

async fn look(cri: &Cri, name: &str) -> Result<Option<Present>, Missing> {
    let found = cri.image(name).await;
    let found = found.map_err(|error| Missing { reason: INSPECT_FAILED, message: error.to_string() })?;
    Ok(found.map(|image| {
        let user = match (&image.uid, image.username.as_str()) {
            (Some(uid), _) => ImageUser::Id(uid.value),
            (None, "") => ImageUser::Root,
            (None, name) => ImageUser::Name(name.to_owned()),
        };
        Present { id: image.id, user }
    }))
}

/// Tries the credentials that fit the registry, one after the other, or none.
async fn pull(cri: &Cri, sources: &Sources, pod: &Pod, name: &str) -> Result<(), String> {
    let mut credentials = Vec::new();
    for secret in spec::of(pod).image_pull_secrets.iter().flatten() {
        let source = Source {
            kind: SourceKind::Secret,
            namespace: spec::namespace(pod).to_owned(),
            name: secret.name.clone(),
        };
        if let Ok(Some(content)) = sources.fetch(&source).await {
            credentials.extend(content.values().flat_map(|file| fitting(file, registry(name))));
        }
    }
    let mut attempts: Vec<Option<Credentials>> = credentials.into_iter().map(Some).collect();
    if attempts.is_empty() {
        attempts.push(None);
    }
    let mut failure = String::new();
    for attempt in attempts {
        match cri.pull_image(name, attempt).await {
            Ok(_) => return Ok(()),
            Err(error) => failure = error.to_string(),
        }
    }
    Err(failure)
}

/// A Docker configuration file: registries and how to sign in to them.
#[derive(Deserialize)]
struct DockerConfig {
    auths: std::collections::BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct DockerAuth {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
}

fn fitting(file: &[u8], registry: &str) -> Vec<Credentials> {
    let Ok(config) = serde_json::from_slice::<DockerConfig>(file) else { return Vec::new() };
    let fits = |server: &str| {
        let host = server.trim_start_matches("https://").trim_start_matches("http://");
        let host = host.split('/').next().unwrap_or_default();
        host == registry || host == "index.docker.io" && registry == "docker.io"
    };
    let fitting = config.auths.into_iter().filter(|(server, _)| fits(server));
    fitting
        .map(|(_, auth)| {
            let pair = BASE64_STANDARD.decode(&auth.auth).ok().and_then(|pair| String::from_utf8(pair).ok());
            let (username, password) = match pair.as_deref().and_then(|pair| pair.split_once(':')) {
                Some((username, password)) => (username.to_owned(), password.to_owned()),
                None => (auth.username, auth.password),
            };
            Credentials { username, password, auth: String::new(), identity_token: auth.identitytoken }
        })
        .collect()
}

/// The host of an image's full name.
fn registry(name: &str) -> &str {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_fit_their_registry() {
        let file = br#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"},
                                  "r.example:5000": {"username": "you", "password": "p"}}}"#;
        let docker = fitting(file, registry("library/web:1"));
        assert_eq!((docker[0].username.as_str(), docker[0].password.as_str()), ("me", "secret"));
        let own = fitting(file, registry("r.example:5000/web:1"));
        assert_eq!(own[0].username, "you");
        assert!(fitting(file, registry("other.example/web")).is_empty());
        assert!(!format!("{docker:?}").contains("secret"));
    }
}
