//! The audit log's options of `tiphys server`, named as kube-apiserver's.

use std::path::PathBuf;

use anyhow::Context as _;
use tiphys_apiserver::audit::{Config, Policy, Rotation};

#[derive(Debug, Clone, Default, clap::Args)]
pub struct AuditOptions {
    /// Where the audit log is written, a line of JSON a record; "-" is the standard output
    #[arg(long)]
    pub audit_log_path: Option<PathBuf>,
    /// A Policy of audit.k8s.io/v1; without it, every request is written at the level Metadata
    #[arg(long, requires = "audit_log_path")]
    pub audit_policy_file: Option<PathBuf>,
    /// Size in megabytes at which the log is set aside (0: 100)
    #[arg(long, default_value_t = 0)]
    pub audit_log_maxsize: u64,
    /// How many logs that were set aside are kept (0: all)
    #[arg(long, default_value_t = 0)]
    pub audit_log_maxbackup: usize,
    /// How many days logs that were set aside are kept (0: for ever)
    #[arg(long, default_value_t = 0)]
    pub audit_log_maxage: u32,
}

impl AuditOptions {
    /// What the API server has to be told; `None` without a path.
    ///
    /// # Errors
    /// A policy that can't be read.
    pub fn config(&self) -> anyhow::Result<Option<Config>> {
        let Some(path) = self.audit_log_path.clone() else { return Ok(None) };
        let policy = match &self.audit_policy_file {
            Some(file) => {
                let shown = file.display();
                let text = std::fs::read_to_string(file).with_context(|| format!("{shown} can't be read"))?;
                Policy::parse(&text).with_context(|| format!("{shown} is no audit policy"))?
            }
            None => Policy::default(),
        };
        let rotation = Rotation {
            max_megabytes: self.audit_log_maxsize,
            max_backups: self.audit_log_maxbackup,
            max_age_days: self.audit_log_maxage,
        };
        Ok(Some(Config { path, policy, rotation }))
    }
}
