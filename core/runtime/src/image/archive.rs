//! Reading an image archive: a tar of an OCI layout, or what `docker save` writes.
//!
//! The tar is read once for the places of its entries; content is then read
//! from those places. An entry that leads out of the archive, and a hard link or
//! device, which no such archive needs, refuse the whole of it.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use oci_spec::image::{ANNOTATION_REF_NAME, Arch, Descriptor, ImageIndex, ImageManifest, MediaType, Os};
use serde::Deserialize;
use tar::EntryType;

use super::{
    Image,
    blob::{Blob, Part},
    build, check,
    name::normalize,
};
use crate::{Error, Result};

/// Descriptions in JSON are small; a larger one is an attack.
const MAX_JSON: u64 = 8 << 20;
/// An index may point at indexes, but not for long.
const MAX_DEPTH: usize = 4;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The images of an archive, for this machine's architecture.
pub fn open_archive(path: &Path) -> Result<Vec<Image>> {
    let refused = |reason: String| Error::Image { path: path.into(), reason };
    let archive = Archive::index(path).map_err(refused)?;
    let images = if archive.places.contains_key(Path::new("index.json")) {
        archive.oci_images()
    } else if archive.places.contains_key(Path::new("manifest.json")) {
        archive.docker_images()
    } else {
        Err("it holds neither index.json (an OCI layout) nor manifest.json (docker save)".into())
    };
    let images = images.map_err(refused)?;
    for layer in images.iter().flat_map(|image| &image.layers) {
        scan(layer).map_err(refused)?;
    }
    Ok(images)
}

/// Where the entries of the tar lie.
struct Archive {
    file: PathBuf,
    keep: Option<Arc<tempfile::TempPath>>,
    places: HashMap<PathBuf, (u64, u64)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: PathBuf,
    repo_tags: Option<Vec<String>>,
    layers: Vec<PathBuf>,
}

impl Archive {
    fn index(path: &Path) -> Result<Self, String> {
        let text = |error: io::Error| error.to_string();
        let mut file = File::open(path).map_err(text)?;
        let mut start = [0; 2];
        let short = file.read_exact(&mut start).is_err();
        file.seek(SeekFrom::Start(0)).map_err(text)?;
        let mut archive = Self { file: path.to_path_buf(), keep: None, places: HashMap::new() };
        if !short && start == GZIP {
            let mut plain = tempfile::NamedTempFile::new().map_err(text)?;
            io::copy(&mut flate2::read::GzDecoder::new(BufReader::new(file)), &mut plain).map_err(text)?;
            file = plain.reopen().map_err(text)?;
            let kept = plain.into_temp_path();
            archive.file = kept.to_path_buf();
            archive.keep = Some(Arc::new(kept));
        }
        archive.read_places(file)?;
        Ok(archive)
    }

    fn read_places(&mut self, file: File) -> Result<(), String> {
        let text = |error: io::Error| format!("it is no tar: {error}");
        let mut links = Vec::new();
        let mut tar = tar::Archive::new(file);
        for entry in tar.entries_with_seek().map_err(text)? {
            let entry = entry.map_err(text)?;
            let path = check::inner_path(&entry.path().map_err(text)?)?;
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    self.places.insert(path, (entry.raw_file_position(), entry.size()));
                }
                EntryType::Symlink => {
                    let target = entry.link_name().map_err(text)?.unwrap_or_default();
                    links.push((path.clone(), check::link_target(&path, &target)?));
                }
                EntryType::Directory | EntryType::XGlobalHeader | EntryType::XHeader => {}
                other => {
                    return Err(format!(
                        "the entry {path:?} is of a kind ({other:?}) no image archive needs"
                    ));
                }
            }
        }
        for (link, target) in links {
            if let Some(place) = self.places.get(&target).copied() {
                self.places.insert(link, place);
            }
        }
        Ok(())
    }

    fn part(&self, path: &Path) -> Result<Part, String> {
        let place = self.places.get(&check::inner_path(path)?);
        let (offset, len) = *place.ok_or_else(|| format!("{path:?} is missing"))?;
        Ok(Part::File { path: self.file.clone(), offset, len, _keep: self.keep.clone() })
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Blob, String> {
        let digest = descriptor.digest().to_string();
        let path = PathBuf::from(format!("blobs/{}", digest.replace(':', "/")));
        let blob = Blob::claimed(descriptor.media_type().to_string(), digest, self.part(&path)?);
        if blob.size != descriptor.size() {
            return Err(format!("{} is not of the size that its descriptor tells", blob.digest));
        }
        Ok(blob)
    }

    fn oci_images(&self) -> Result<Vec<Image>, String> {
        let index: ImageIndex = json(&self.claimed("index.json")?)?;
        index.manifests().iter().map(|entry| self.oci_image(entry, names(entry), MAX_DEPTH)).collect()
    }

    fn oci_image(&self, entry: &Descriptor, names: Vec<String>, depth: usize) -> Result<Image, String> {
        let blob = self.blob(entry)?;
        let index_types = [MediaType::ImageIndex.to_string(), DOCKER_LIST.to_owned()];
        if index_types.contains(&blob.media_type) {
            let index: ImageIndex = json(&blob)?;
            let inner = index.manifests().iter().find(|entry| fits(entry));
            let inner = inner.ok_or("none of its manifests is for this machine's architecture")?;
            return match depth {
                0 => Err("its indexes are nested too deeply".into()),
                _ => self.oci_image(inner, names, depth - 1),
            };
        }
        let manifest: ImageManifest = json(&blob)?;
        let layers = manifest.layers().iter().map(|layer| self.blob(layer)).collect::<Result<_, _>>()?;
        Ok(Image { names, config: self.blob(manifest.config())?, layers, manifest: blob })
    }

    fn docker_images(&self) -> Result<Vec<Image>, String> {
        let list: Vec<DockerImage> = json(&self.claimed("manifest.json")?)?;
        list.iter().map(|image| self.docker_image(image)).collect()
    }

    fn docker_image(&self, image: &DockerImage) -> Result<Image, String> {
        let text = |error: io::Error| error.to_string();
        let of_file = |path: &Path, kind: &str| Blob::from_parts(kind, vec![self.part(path)?]).map_err(text);
        let config = of_file(&image.config, "application/vnd.oci.image.config.v1+json")?;
        let mut layers = Vec::new();
        for path in &image.layers {
            let mut layer = of_file(path, "")?;
            layer.media_type = match compression(&layer)? {
                Compression::None => "application/vnd.oci.image.layer.v1.tar".into(),
                Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip".into(),
                Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd".into(),
            };
            layers.push(layer);
        }
        let manifest = build::manifest(&config, &layers).map_err(|error| error.to_string())?;
        let manifest = build::json_blob("application/vnd.oci.image.manifest.v1+json", &manifest)
            .map_err(|error| error.to_string())?;
        let names = image.repo_tags.iter().flatten().map(|name| normalize(name)).collect();
        Ok(Image { names, manifest, config, layers })
    }

    fn claimed(&self, name: &str) -> Result<Blob, String> {
        Ok(Blob::claimed(String::new(), String::new(), self.part(Path::new(name))?))
    }
}

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The names that tools write beside a manifest, the full one first.
fn names(entry: &Descriptor) -> Vec<String> {
    let annotations = entry.annotations().clone().unwrap_or_default();
    let full = annotations.get("io.containerd.image.name");
    let name = full.or_else(|| annotations.get(ANNOTATION_REF_NAME).filter(|name| name.contains([':', '/'])));
    name.map(|name| normalize(name)).into_iter().collect()
}

fn fits(entry: &Descriptor) -> bool {
    entry
        .platform()
        .as_ref()
        .is_none_or(|platform| *platform.os() == Os::Linux && *platform.architecture() == Arch::default())
}

fn json<T: for<'a> Deserialize<'a>>(blob: &Blob) -> Result<T, String> {
    if blob.size > MAX_JSON {
        return Err(format!("a description of {} bytes is too large", blob.size));
    }
    let mut bytes = Vec::new();
    let mut reader = blob.reader().map_err(|error| error.to_string())?;
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| format!("a description cannot be read: {error}"))
}

enum Compression {
    None,
    Gzip,
    Zstd,
}

fn compression(blob: &Blob) -> Result<Compression, String> {
    let mut start = Vec::new();
    let reader = blob.reader().map_err(|error| error.to_string())?;
    reader.take(4).read_to_end(&mut start).map_err(|error| error.to_string())?;
    Ok(match &*start {
        start if start.starts_with(&GZIP) => Compression::Gzip,
        start if start.starts_with(&ZSTD) => Compression::Zstd,
        _ => Compression::None,
    })
}

fn scan(layer: &Blob) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let reader = BufReader::new(layer.reader().map_err(text)?);
    match compression(layer)? {
        Compression::None => check::layer(reader),
        Compression::Gzip => check::layer(flate2::bufread::MultiGzDecoder::new(reader)),
        Compression::Zstd => check::layer(zstd::stream::read::Decoder::new(reader).map_err(text)?),
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
