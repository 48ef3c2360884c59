//! Archives that must be read, and archives that must be refused.

use std::io::Write;

use super::*;
use crate::image::{Recipe, build_from_dir, write_archive};

fn tar_of(entries: &[(&str, EntryType, &str)]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut builder = tar::Builder::new(file.reopen().expect("a file"));
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        // Written raw: the crate itself refuses hostile names.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        let data: &[u8] = if *kind == EntryType::Regular { content.as_bytes() } else { &[] };
        if *kind == EntryType::Symlink || *kind == EntryType::Link {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data).expect("written");
    }
    builder.into_inner().and_then(|mut file| file.flush()).expect("written");
    file
}

#[test]
fn a_built_image_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("hello"), "hello").expect("written");
    let recipe = Recipe { name: "web:1".into(), entrypoint: vec!["/hello".into()], ..Recipe::default() };
    let image = build_from_dir(&recipe, folder.path()).expect("built");
    let archive = tempfile::NamedTempFile::new().expect("a file");
    write_archive(&image, archive.path()).expect("written");
    let read = open_archive(archive.path()).expect("read");
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].names, ["docker.io/library/web:1"]);
    assert_eq!(read[0].manifest.digest, image.manifest.digest);
    assert_eq!(read[0].layers[0].actual_digest().expect("read"), image.layers[0].digest);
}

#[test]
fn a_docker_archive_is_read_through_its_links() {
    let mut layer = Vec::new();
    tar::Builder::new(&mut layer).finish().expect("an empty tar");
    let layer = String::from_utf8(layer).expect("zeros");
    let archive = tar_of(&[
        ("ab.json", EntryType::Regular, "{}"),
        ("cd.tar", EntryType::Regular, &layer),
        ("ab/layer.tar", EntryType::Symlink, "../cd.tar"),
        (
            "manifest.json",
            EntryType::Regular,
            r#"[{"Config":"ab.json","RepoTags":["web:1"],"Layers":["ab/layer.tar"]}]"#,
        ),
    ]);
    let images = open_archive(archive.path()).expect("read");
    assert_eq!(images[0].names, ["docker.io/library/web:1"]);
    assert_eq!(images[0].layers[0].size, layer.len() as u64);
}

#[test]
fn abuse_15_a_hostile_archive_is_refused() {
    let index = ("index.json", EntryType::Regular, r#"{"schemaVersion":2,"manifests":[]}"#);
    let check = |entry: (&str, EntryType, &str), part: &str| {
        let archive = tar_of(&[index, entry]);
        let error = open_archive(archive.path()).expect_err(part).to_string();
        assert!(error.contains(part), "{entry:?}: {error}");
    };
    check(("../evil", EntryType::Regular, "x"), "leads out");
    check(("blobs/../../evil", EntryType::Regular, "x"), "leads out");
    check(("/etc/evil", EntryType::Regular, "x"), "absolute");
    check(("evil", EntryType::Symlink, "/etc/passwd"), "leads out");
    check(("evil", EntryType::Symlink, "../../etc/passwd"), "leads out");
    check(("evil", EntryType::Link, "/etc/passwd"), "of a kind");
    check(("evil", EntryType::Block, ""), "of a kind");
    check(("evil", EntryType::Char, ""), "of a kind");
    check(("evil", EntryType::Fifo, ""), "of a kind");
}

#[test]
fn abuse_15_a_hostile_layer_is_refused() {
    let layer = |path: &str, kind, target: &str| {
        let file = tar_of(&[(path, kind, target)]);
        check::layer(File::open(file.path()).expect("a file"))
    };
    assert!(layer("../../etc/cron.d/evil", EntryType::Regular, "x").is_err());
    assert!(layer("evil", EntryType::Link, "../../etc/shadow").is_err());
    assert!(layer("etc/motd", EntryType::Symlink, "/run/motd").is_ok());
}

#[test]
fn what_is_no_archive_says_so() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "no tar at all").expect("written");
    assert!(open_archive(file.path()).is_err());
}
