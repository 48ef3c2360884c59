//! Images into containerd's store, under the namespace of the CRI plug-in.
//!
//! Content first (layers, configuration, manifest, each checked against its
//! digest by containerd), then the record that names it. A lease keeps the
//! content from being collected in between, and labels on the manifest tell the
//! collector what it refers to. The CRI plug-in hears of the record and unpacks
//! the layers when the first container is made.

use std::{io::Read, path::Path, time::Duration};

use containerd_client::{
    services::v1::{
        CreateImageRequest, Image as Record, UpdateImageRequest, WriteAction, WriteContentRequest,
        content_client::ContentClient, images_client::ImagesClient, leases_client::LeasesClient,
    },
    types::Descriptor,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, transport::Channel};

use super::{Blob, Image, name, open_archive};
use crate::{Error, Result, containerd::request, cri::Cri};

const CHUNK: usize = 1 << 20;
/// The CRI plug-in hears of a new image at once; this is only an end.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);

/// Imports an archive (an OCI layout or `docker save`, plain or gzip) into the
/// containerd at this socket; gives the names by which its images can be used.
pub async fn import_archive(socket: &Path, archive: &Path) -> Result<Vec<String>> {
    let path = archive.to_path_buf();
    let images = blocking(move || open_archive(&path)).await?;
    if images.iter().all(|image| image.names.is_empty()) {
        let reason = "it names no image; save it with a name and a tag".to_owned();
        return Err(Error::Image { path: archive.into(), reason });
    }
    import(socket, &images).await
}

/// Imports images into the containerd at this socket, and waits until CRI knows
/// them. What is there already is not sent again.
pub async fn import(socket: &Path, images: &[Image]) -> Result<Vec<String>> {
    for name in images.iter().flat_map(|image| &image.names) {
        // containerd would take it, and CRI never show it.
        name::check(name).map_err(|wrong| Error::Image { path: name.into(), reason: wrong.to_owned() })?;
    }
    let channel = crate::cri::channel(socket);
    let lease = Lease::create(channel.clone()).await?;
    let result = import_under(&lease, channel, images).await;
    lease.delete().await;
    let names = result?;
    let cri = Cri::new(socket);
    let known = async {
        for name in &names {
            while cri.image(name).await?.is_none() {
                // The plug-in learns of it by an event of its own; ask until it has.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    };
    match tokio::time::timeout(KNOWN_WITHIN, known).await {
        Ok(result) => result.map(|()| names),
        Err(_) => {
            let reason = "containerd took it, but its CRI plug-in does not list it".to_owned();
            Err(Error::Image { path: names.join(", ").into(), reason })
        }
    }
}

async fn import_under(lease: &Lease, channel: Channel, images: &[Image]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for image in images {
        for layer in &image.layers {
            write(lease, channel.clone(), layer, Vec::new()).await?;
        }
        write(lease, channel.clone(), &image.config, Vec::new()).await?;
        let config = ("containerd.io/gc.ref.content.config".to_owned(), image.config.digest.clone());
        let layers = image.layers.iter().enumerate();
        let layers =
            layers.map(|(n, layer)| (format!("containerd.io/gc.ref.content.l.{n}"), layer.digest.clone()));
        let references = std::iter::once(config).chain(layers).collect();
        write(lease, channel.clone(), &image.manifest, references).await?;
        for name in &image.names {
            record(channel.clone(), name, &image.manifest).await?;
            names.push(name.clone());
        }
    }
    Ok(names)
}

async fn record(channel: Channel, name: &str, manifest: &Blob) -> Result<()> {
    let target = Descriptor {
        media_type: manifest.media_type.clone(),
        digest: manifest.digest.clone(),
        size: i64::try_from(manifest.size).unwrap_or(i64::MAX),
        ..Default::default()
    };
    let labels = [("io.cri-containerd.image".to_owned(), "managed".to_owned())].into();
    let image = Record { name: name.into(), target: Some(target), labels, ..Default::default() };
    let mut client = ImagesClient::new(channel);
    let create = CreateImageRequest { image: Some(image.clone()), ..Default::default() };
    match client.create(request(create)).await {
        Ok(_) => return Ok(()),
        Err(status) if status.code() == Code::AlreadyExists => {}
        Err(status) => return Err(Error::call("create image")(status)),
    }
    let update = UpdateImageRequest { image: Some(image), ..Default::default() };
    client.update(request(update)).await.map(drop).map_err(Error::call("update image"))
}

async fn write(lease: &Lease, channel: Channel, blob: &Blob, labels: Vec<(String, String)>) -> Result<()> {
    let (sender, receiver) = mpsc::channel(4);
    let source = blob.clone();
    let feed = tokio::task::spawn_blocking(move || feed(&source, labels, &sender));
    let mut client = ContentClient::new(channel);
    let outcome = async {
        let mut answers = client.write(lease.request(ReceiverStream::new(receiver))).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok(())
    };
    let outcome = outcome.await;
    let fed = feed.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match outcome {
        Err(status) if tonic::Status::code(&status) == Code::AlreadyExists => Ok(()),
        Err(status) => Err(Error::call("write content")(status)),
        Ok(()) => fed.map_err(Error::io("read", &blob.digest)),
    }
}

/// Sends a blob in pieces; stops early when nobody takes them any more.
fn feed(
    blob: &Blob,
    labels: Vec<(String, String)>,
    sender: &mpsc::Sender<WriteContentRequest>,
) -> std::io::Result<()> {
    let total = i64::try_from(blob.size).map_err(std::io::Error::other)?;
    let mut message = WriteContentRequest {
        action: WriteAction::Write.into(),
        r#ref: format!("tiphys-{}", blob.digest),
        total,
        expected: blob.digest.clone(),
        ..Default::default()
    };
    let mut reader = blob.reader()?;
    loop {
        let mut data = Vec::with_capacity(CHUNK);
        reader.by_ref().take(CHUNK as u64).read_to_end(&mut data)?;
        let length = data.len();
        if length > 0 {
            message.data = data;
            if sender.blocking_send(message.clone()).is_err() {
                return Ok(());
            }
            message.offset += i64::try_from(length).expect("at most a chunk");
        }
        if length < CHUNK {
            break;
        }
    }
    message.action = WriteAction::Commit.into();
    message.data = Vec::new();
    message.labels = labels.into_iter().collect();
    // The other side is gone when it refused what came before; it says why.
    let _ = sender.blocking_send(message);
    Ok(())
}

/// Keeps fresh content until it is referred to.
struct Lease {
    id: String,
    channel: Channel,
}

impl Lease {
    async fn create(channel: Channel) -> Result<Self> {
        use containerd_client::services::v1::CreateRequest;
        let nonce = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let id = format!("tiphys-import-{}-{}", std::process::id(), nonce.as_nanos());
        // An import that never ends is forgotten after an hour.
        let expires = nonce + Duration::from_secs(3600);
        let labels = [("containerd.io/gc.expire".to_owned(), rfc3339(expires.as_secs()))].into();
        let mut client = LeasesClient::new(channel.clone());
        let create = CreateRequest { id: id.clone(), labels };
        client.create(request(create)).await.map_err(Error::call("create lease"))?;
        Ok(Self { id, channel })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = request(message);
        let id = self.id.parse().expect("letters, digits and dashes");
        request.metadata_mut().insert("containerd-lease", id);
        request
    }

    async fn delete(&self) {
        use containerd_client::services::v1::DeleteRequest;
        let mut client = LeasesClient::new(self.channel.clone());
        let delete = DeleteRequest { id: self.id.clone(), sync: false };
        if let Err(error) = client.delete(request(delete)).await {
            tracing::debug!(%error, "a lease stays until it expires");
        }
    }
}

fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.unwrap_or_default().to_string()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
