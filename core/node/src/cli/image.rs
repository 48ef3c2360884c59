//! `tiphys image`: images without a registry.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use tiphys_runtime::image::{Recipe, build_from_dir, build_from_files, import_archive, write_archive};

use super::Global;
use crate::{
    cluster::state::ClusterState,
    failure::{Failure, OrNext, Outcome},
    output,
};

/// What the image of this program is called, where nobody says otherwise.
pub const OWN: &str = concat!("tiphys.io/tiphys:", env!("CARGO_PKG_VERSION"));

#[derive(Debug, clap::Args)]
pub struct Image {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ImageCommand {
    /// Import an image from a tar file (OCI layout or docker archive) into every node
    Import {
        /// The tar file
        file: PathBuf,
    },
    /// Write the image of this program, which collectors run, to a tar file (OCI layout) for other clusters
    Export {
        /// The tar file
        file: PathBuf,
        /// The image's name, such as registry.example.org/tiphys:1
        #[arg(long, default_value = OWN)]
        name: String,
    },
    /// Build an image from a folder that holds a root file system, and import it
    Build {
        /// The folder
        #[arg(long)]
        from: PathBuf,
        /// The image's name, such as example.org/web:1
        #[arg(long)]
        name: String,
        /// What it runs by default; arguments that begin with a dash go behind `--`
        #[arg(long = "entrypoint", num_args = 1..)]
        entrypoint: Vec<String>,
        /// Write the tar file here in place of importing it
        #[arg(long)]
        output: Option<PathBuf>,
        /// The default arguments of what it runs, as in `--entrypoint sh -- -c 'echo hello'`
        #[arg(last = true, value_name = "ARGUMENT")]
        arguments: Vec<String>,
    },
}

impl Image {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        match self.command {
            ImageCommand::Import { file } => import(global, &file).await?,
            ImageCommand::Export { file, name } => {
                export(Path::new("/proc/self/exe"), name, &file)?;
                output::data(&format!("{}\n", file.display()))?;
            }
            ImageCommand::Build { from, name, entrypoint, output, arguments } => {
                let recipe = Recipe { name, entrypoint, cmd: arguments, ..Recipe::default() };
                if let Some(file) = output {
                    build(&recipe, &from, &file)?;
                    output::data(&format!("{}\n", file.display()))?;
                } else {
                    let folder = tempfile::tempdir()?;
                    let file = folder.path().join("image.tar");
                    build(&recipe, &from, &file)?;
                    import(global, &file).await?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Builds the image into an archive at `file`.
fn build(recipe: &Recipe, from: &Path, file: &Path) -> Outcome<()> {
    let image = build_from_dir(recipe, from).or_next("tiphys image build --help")?;
    write_archive(&image, file).or_next("tiphys image build --help")
}

/// Writes an archive with the image of an executable, which is static and needs no other file.
fn export(program: &Path, name: String, file: &Path) -> Outcome<()> {
    let next = "tiphys image export --help";
    let recipe = Recipe { name, entrypoint: vec!["/tiphys".into()], ..Recipe::default() };
    let image = build_from_files(&recipe, &[(program.to_owned(), "tiphys", 0o755)]).or_next(next)?;
    write_archive(&image, file).or_next(next)
}

/// Imports an archive into every node of the cluster on this machine.
async fn import(global: &Global, file: &Path) -> Outcome<()> {
    let layout = global.layout();
    let Some(state) = ClusterState::load(&layout)? else {
        return Err(Failure::new(global.absent(), global.typed("up")));
    };
    for node in &state.nodes {
        let socket = layout.node(&node.name).join("run/containerd/containerd.sock");
        let imported = import_archive(&socket, file).await;
        // A wrong file is the user's to mend; all else is the node's.
        let next = match &imported {
            Err(tiphys_runtime::Error::Image { .. }) => "tiphys image import --help",
            _ => "tiphys status",
        };
        let names = imported.or_next(next)?;
        output::line(&format!("{}: {}", node.name, names.join(", ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tiphys_runtime::image::open_archive;

    use super::*;

    #[test]
    fn the_program_is_exported_under_the_name_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (program, file) = (folder.path().join("program"), folder.path().join("image.tar"));
        std::fs::write(&program, "what the nodes run").expect("written");
        export(&program, "registry.example.org/logs:3".into(), &file).expect("an archive");
        let images = open_archive(&file).expect("an archive that can be read");
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].names, ["registry.example.org/logs:3"]);
        let mut layer = Vec::new();
        images[0].layers[0].reader().expect("a layer").read_to_end(&mut layer).expect("read");
        assert!(layer.starts_with(b"tiphys\0"), "the manifest's command is /tiphys");
        assert_eq!(&layer[512..530], b"what the nodes run");
    }

    #[test]
    fn a_name_that_no_runtime_takes_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let (program, file) = (folder.path().join("program"), folder.path().join("image.tar"));
        std::fs::write(&program, "what the nodes run").expect("written");
        let failure = export(&program, "Not A Name".into(), &file).expect_err("it is refused");
        assert_eq!(failure.next(), "tiphys image export --help");
        assert!(!file.exists());
    }
}
