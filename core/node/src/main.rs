//! The `tiphys` binary: parse, choose the command, run it, give the exit code.
//!
//! Data goes to stdout; progress and errors to stderr. Exit codes: 0 done,
//! 1 failed, 2 wrong usage, 3 a partial answer where `--strict` was asked for. Every error names the next command to try.

use std::process::ExitCode;

use clap::Parser;

mod addons;
mod allocator;
mod authority;
mod cli;
mod cluster;
mod collectors;
mod control_plane;
mod doctor;
mod doors_certificate;
mod failure;
mod files;
mod groups;
mod kubeconfig;
mod layout;
mod leader;
mod log_table;
mod metric_source;
mod notify;
mod object_tables;
mod output;
mod roles;
mod settle;
mod snapshots;
mod store_figures;
mod store_health;
mod stores;

fn main() -> ExitCode {
    // Static builds have no other provider; a second call would be the only way to fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    doctor::complete_path();
    let cli = cli::Cli::parse();
    match cli::run(cli) {
        Ok(code) => code,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            output::error(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}
