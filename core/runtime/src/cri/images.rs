//! Images as CRI sees them.

use std::time::Duration;

use super::{Cri, QUICK, call::Call, v1};
use crate::Result;

/// A pull may take long; it has no other end.
const PULL: Duration = Duration::from_secs(30 * 60);

/// What a registry wants to know, as in a Docker configuration file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
    /// Base64 of `username:password`, when given that way.
    pub auth: String,
    pub identity_token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

fn spec(name: &str) -> v1::ImageSpec {
    v1::ImageSpec { image: name.into(), ..Default::default() }
}

impl Cri {
    /// `None` when the image is not on this node.
    pub async fn image(&self, name: &str) -> Result<Option<v1::Image>> {
        let request = v1::ImageStatusRequest { image: Some(spec(name)), verbose: false };
        let mut client = self.images.clone();
        Ok(self.limited(Call::ImageStatus, QUICK, client.image_status(request)).await?.image)
    }

    pub async fn list_images(&self) -> Result<Vec<v1::Image>> {
        let mut client = self.images.clone();
        let request = v1::ListImagesRequest::default();
        Ok(self.limited(Call::ListImages, QUICK, client.list_images(request)).await?.images)
    }

    /// Gives the image's reference: its id or a digest.
    pub async fn pull_image(&self, name: &str, credentials: Option<Credentials>) -> Result<String> {
        let auth = credentials.map(|given| v1::AuthConfig {
            username: given.username,
            password: given.password,
            auth: given.auth,
            identity_token: given.identity_token,
            ..Default::default()
        });
        let request = v1::PullImageRequest { image: Some(spec(name)), auth, sandbox_config: None };
        let mut client = self.images.clone();
        let call = Box::pin(client.pull_image(request));
        Ok(self.limited(Call::PullImage, PULL, call).await?.image_ref)
    }

    pub async fn remove_image(&self, name: &str) -> Result<()> {
        let mut client = self.images.clone();
        let request = v1::RemoveImageRequest { image: Some(spec(name)) };
        self.limited(Call::RemoveImage, PULL, client.remove_image(request)).await.map(drop)
    }
}
