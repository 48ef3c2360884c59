//! `tiphys kubeconfig`: the administrator's kubeconfig, on stdout.

use std::process::ExitCode;

use super::Global;
use crate::{
    failure::{Failure, Outcome},
    output,
};

#[derive(Debug, clap::Args)]
pub struct Kubeconfig {}

impl Kubeconfig {
    pub fn run(self, global: &Global) -> Outcome<ExitCode> {
        let path = global.layout().admin_kubeconfig();
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                let next = format!("sudo {}", global.typed("kubeconfig"));
                Failure::new(format!("{}: {error}", path.display()), next)
            }
            _ => Failure::new(global.absent(), global.typed("up")),
        })?;
        output::data(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
