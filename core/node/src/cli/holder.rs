//! `tiphys holder`: keeps a node's namespaces; started by `tiphys up` only.

use std::process::ExitCode;

use crate::failure::Outcome;

#[derive(Debug, clap::Args)]
pub struct Holder {}

impl Holder {
    pub fn run(self) -> Outcome<ExitCode> {
        tiphys_network::topology::holder_main()?;
        Ok(ExitCode::SUCCESS)
    }
}
