//! The two images that every node has without a registry.
//!
//! `tiphys.io/tiphys` is this very executable, which is static, as the only file
//! of its root. `tiphys.io/pause` holds a Pod's namespaces; its program is built
//! with this crate and embedded (see `pause/main.rs` for why it is not the big one).

use std::path::Path;

use super::{Image, Recipe, build::build_from_bytes, build_from_files};
use crate::Result;

static PAUSE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// `tiphys.io/pause:VERSION`
pub fn pause_image(version: &str) -> Result<Image> {
    let name = format!("tiphys.io/pause:{version}");
    let recipe = Recipe { name, entrypoint: vec!["/pause".into()], ..Recipe::default() };
    build_from_bytes(&recipe, "pause", PAUSE)
}

/// `tiphys.io/tiphys:VERSION`, made from this executable (`/proc/self/exe`), entry point `/tiphys`.
pub fn own_image(version: &str) -> Result<Image> {
    let name = format!("tiphys.io/tiphys:{version}");
    let recipe = Recipe { name, entrypoint: vec!["/tiphys".into()], ..Recipe::default() };
    let this = Path::new("/proc/self/exe");
    build_from_files(&recipe, &[(this.to_path_buf(), "tiphys", 0o755)])
}
