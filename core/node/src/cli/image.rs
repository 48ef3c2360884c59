//! `tiphys image`: images without a registry.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use tiphys_runtime::image::{Recipe, build_from_dir, import_archive, write_archive};

use super::Global;
use crate::{
    cluster::state::ClusterState,
    failure::{Failure, OrNext, Outcome},
    output,
};

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

/// Imports an archive into every node of the cluster on this machine.
async fn import(global: &Global, file: &Path) -> Outcome<()> {
    let layout = global.layout();
    let Some(state) = ClusterState::load(&layout)? else {
        return Err(Failure::new(
            format!("there is no cluster {:?} on this machine", global.cluster),
            "tiphys up",
        ));
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
