//! How a command reaches the cluster: the user's kubeconfig, as kubectl does,
//! and the administrator's where that has no context of the cluster.

use std::path::PathBuf;

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::Global;
use crate::{
    cluster::state::context_name,
    failure::{Failure, OrNext, Outcome},
};

/// Options of the commands that talk to a cluster.
#[derive(Debug, Clone, clap::Args)]
pub struct Connect {
    /// Kubeconfig file to use
    #[arg(long, env = "KUBECONFIG", hide_env_values = true)]
    kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig; by default the one that `tiphys up` made
    #[arg(long)]
    context: Option<String>,
}

impl Connect {
    pub async fn client(&self, global: &Global) -> Outcome<Client> {
        let config = self.config(global).await?;
        Client::try_from(config).or_next("tiphys status")
    }

    async fn config(&self, global: &Global) -> Outcome<Config> {
        let own = context_name(&global.cluster);
        let named = self.context.clone().unwrap_or_else(|| own.clone());
        let user_file = self.kubeconfig.clone().unwrap_or_else(crate::kubeconfig::user_file);
        let candidates = [(user_file, named), (global.layout().admin_kubeconfig(), own)];
        for (path, context) in candidates {
            let Ok(kubeconfig) = Kubeconfig::read_from(&path) else { continue };
            if !kubeconfig.contexts.iter().any(|entry| entry.name == context) {
                continue;
            }
            let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
            return Config::from_custom_kubeconfig(kubeconfig, &options).await.or_next("tiphys kubeconfig");
        }
        Err(Failure::new(
            format!("no kubeconfig has a context of the cluster {:?}", global.cluster),
            "tiphys up, or name one with --kubeconfig and --context",
        ))
    }
}
