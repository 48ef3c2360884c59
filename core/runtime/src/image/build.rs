//! Images out of a folder or of single files.
//!
//! One plain layer and an OCI configuration. The same input gives the same
//! digests: owners, times and order of what comes from a folder are its own,
//! single files get fixed ones.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, ConfigBuilder, DescriptorBuilder, Digest, ImageConfigurationBuilder,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, Os, RootFsBuilder,
};
use serde::Serialize;

use super::{
    Image,
    blob::{Blob, Part},
    name::{self, normalize},
};
use crate::{Error, Result};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const PLAIN_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What an image runs, and its name.
#[derive(Debug, Clone, Default)]
pub struct Recipe {
    /// Completed as Docker does: `web` is `docker.io/library/web:latest`.
    pub name: String,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// `NAME=value`
    pub env: Vec<String>,
    /// Empty for `/`.
    pub working_dir: String,
    /// Empty for root; else a name, a uid, or `uid:gid`.
    pub user: String,
}

/// An image whose only layer is this folder's content, owners and modes kept.
pub fn build_from_dir(recipe: &Recipe, folder: &Path) -> Result<Image> {
    let mut file =
        tempfile::NamedTempFile::new().map_err(Error::io("create a file in", std::env::temp_dir()))?;
    let failed = || Error::io("read", folder);
    let mut builder = tar::Builder::new(BufWriter::new(file.as_file_mut()));
    builder.follow_symlinks(false);
    builder.append_dir_all(".", folder).map_err(failed())?;
    builder.into_inner().and_then(|mut writer| writer.flush()).map_err(failed())?;
    let len = file.as_file().metadata().map_err(failed())?.len();
    let path = file.into_temp_path();
    let part = Part::File { path: path.to_path_buf(), offset: 0, len, _keep: Some(Arc::new(path)) };
    let layer = Blob::from_parts(PLAIN_LAYER, vec![part]).map_err(failed())?;
    assemble(recipe, vec![layer])
}

/// An image whose only layer are these files: where each lies here, its path in
/// the image, and its mode. They are read in place, not copied.
pub fn build_from_files(recipe: &Recipe, files: &[(PathBuf, &str, u32)]) -> Result<Image> {
    let mut parts = Vec::new();
    for (source, path, mode) in files {
        let failed = || Error::io("read", source);
        let len = source.metadata().map_err(failed())?.len();
        let header = file_header(path, len, *mode).map_err(failed())?;
        parts.push(Part::Bytes(header.into()));
        parts.push(Part::File { path: source.clone(), offset: 0, len, _keep: None });
        parts.push(Part::Bytes(padding(len).into()));
    }
    layer_image(recipe, parts)
}

/// An image whose only layer is one executable file, given as bytes.
pub(super) fn build_from_bytes(recipe: &Recipe, path: &str, bytes: &'static [u8]) -> Result<Image> {
    let len = bytes.len() as u64;
    let header = file_header(path, len, 0o755).map_err(Error::io("build", path))?;
    let parts = vec![
        Part::Bytes(header.into()),
        Part::Bytes(bytes::Bytes::from_static(bytes)),
        Part::Bytes(padding(len).into()),
    ];
    layer_image(recipe, parts)
}

fn layer_image(recipe: &Recipe, mut parts: Vec<Part>) -> Result<Image> {
    // The two empty blocks that end a tar.
    parts.push(Part::Bytes(vec![0; 1024].into()));
    let layer = Blob::from_parts(PLAIN_LAYER, parts).map_err(Error::io("build", &recipe.name))?;
    assemble(recipe, vec![layer])
}

fn file_header(path: &str, len: u64, mode: u32) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path.trim_start_matches('/'))?;
    header.set_size(len);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

fn padding(len: u64) -> Vec<u8> {
    let rest = usize::try_from(len % 512).expect("less than 512");
    vec![0; (512 - rest) % 512]
}

/// Configuration and manifest over plain layers, whose digests are their diff ids.
fn assemble(recipe: &Recipe, layers: Vec<Blob>) -> Result<Image> {
    let invalid = |error: &dyn std::fmt::Display| Error::Image {
        path: recipe.name.clone().into(),
        reason: error.to_string(),
    };
    name::check(&normalize(&recipe.name)).map_err(|wrong| invalid(&wrong))?;
    let mut config = ConfigBuilder::default();
    if !recipe.entrypoint.is_empty() {
        config = config.entrypoint(recipe.entrypoint.clone());
    }
    if !recipe.cmd.is_empty() {
        config = config.cmd(recipe.cmd.clone());
    }
    if !recipe.env.is_empty() {
        config = config.env(recipe.env.clone());
    }
    if !recipe.working_dir.is_empty() {
        config = config.working_dir(recipe.working_dir.clone());
    }
    if !recipe.user.is_empty() {
        config = config.user(recipe.user.clone());
    }
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.digest.clone()).collect();
    let rootfs = RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build();
    let configuration = ImageConfigurationBuilder::default()
        .architecture(Arch::default())
        .os(Os::Linux)
        .config(config.build().map_err(|error| invalid(&error))?)
        .rootfs(rootfs.map_err(|error| invalid(&error))?)
        .build()
        .map_err(|error| invalid(&error))?;
    let config = json_blob(CONFIG, &configuration)?;
    let manifest = manifest(&config, &layers).map_err(|error| invalid(&error))?;
    let manifest = json_blob(MANIFEST, &manifest)?;
    Ok(Image { names: vec![normalize(&recipe.name)], manifest, config, layers })
}

type OciResult<T> = std::result::Result<T, oci_spec::OciSpecError>;

pub(super) fn manifest(config: &Blob, layers: &[Blob]) -> OciResult<oci_spec::image::ImageManifest> {
    let layers = layers.iter().map(descriptor).collect::<OciResult<Vec<_>>>()?;
    ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(descriptor(config)?)
        .layers(layers)
        .build()
}

fn descriptor(blob: &Blob) -> OciResult<oci_spec::image::Descriptor> {
    DescriptorBuilder::default()
        .media_type(blob.media_type.as_str())
        .digest(blob.digest.parse::<Digest>()?)
        .size(blob.size)
        .build()
}

pub(super) fn json_blob(media_type: &str, value: &impl Serialize) -> Result<Blob> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| Error::Image { path: media_type.into(), reason: error.to_string() })?;
    Ok(Blob::from_bytes(media_type, bytes))
}

/// Writes the image as a tar of an OCI layout, with the list beside it that older docker reads.
pub fn write_archive(image: &Image, path: &Path) -> Result<()> {
    let failed = || Error::io("write", path);
    let file = File::create(path).map_err(failed())?;
    let mut archive = tar::Builder::new(BufWriter::new(file));
    let invalid =
        |error: oci_spec::OciSpecError| Error::Image { path: path.into(), reason: error.to_string() };
    let mut entry = descriptor(&image.manifest).map_err(invalid)?;
    if let Some(name) = image.names.first() {
        let annotations = [(ANNOTATION_REF_NAME, name.as_str()), ("io.containerd.image.name", name.as_str())];
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
        entry.set_annotations(Some(annotations.into()));
    }
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests(vec![entry])
        .build()
        .map_err(invalid)?;
    let layout = Blob::from_bytes("", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = json_blob("", &index)?;
    append(&mut archive, "oci-layout", &layout).map_err(failed())?;
    append(&mut archive, "index.json", &index).map_err(failed())?;
    append(&mut archive, "manifest.json", &docker_list(image)?).map_err(failed())?;
    for blob in [&image.manifest, &image.config].into_iter().chain(&image.layers) {
        append(&mut archive, &place(blob), blob).map_err(failed())?;
    }
    archive.into_inner().and_then(|mut writer| writer.flush()).map_err(failed())
}

/// Where a blob lies in the archive.
fn place(blob: &Blob) -> String {
    format!("blobs/{}", blob.digest.replace(':', "/"))
}

/// What `docker load` before version 25 looks for.
fn docker_list(image: &Image) -> Result<Blob> {
    let layers: Vec<_> = image.layers.iter().map(place).collect();
    let list =
        [serde_json::json!({ "Config": place(&image.config), "RepoTags": image.names, "Layers": layers })];
    json_blob("", &list)
}

fn append(archive: &mut tar::Builder<impl Write>, name: &str, blob: &Blob) -> io::Result<()> {
    archive.get_mut().write_all(&file_header(name, blob.size, 0o644)?)?;
    let written = io::copy(&mut blob.reader()?, archive.get_mut())?;
    if written != blob.size {
        return Err(io::Error::other(format!("{name} changed its size while it was read")));
    }
    archive.get_mut().write_all(&padding(blob.size))
}
