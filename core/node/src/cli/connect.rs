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
        // $KUBECONFIG may be a list.
        let mut users: Vec<PathBuf> = self.kubeconfig.iter().flat_map(std::env::split_paths).collect();
        users.retain(|path| path.as_os_str() != "");
        if users.is_empty() {
            users.push(crate::kubeconfig::user_file());
        }
        let users = users.into_iter().map(|path| (path, named.clone()));
        let mut unreadable = None;
        for (path, context) in users.chain([(global.layout().admin_kubeconfig(), own)]) {
            if !path.exists() {
                continue;
            }
            let kubeconfig = match Kubeconfig::read_from(&path) {
                Ok(kubeconfig) => kubeconfig,
                Err(error) => {
                    unreadable.get_or_insert(error);
                    continue;
                }
            };
            if !kubeconfig.contexts.iter().any(|entry| entry.name == context) {
                continue;
            }
            let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
            return Config::from_custom_kubeconfig(kubeconfig, &options).await.or_next("tiphys kubeconfig");
        }
        if let Some(error) = unreadable {
            return Err(error).or_next("tiphys kubeconfig, as root, or name one with --kubeconfig");
        }
        Err(Failure::new(
            format!("no kubeconfig has a context of the cluster {:?}", global.cluster),
            "tiphys up, or name one with --kubeconfig and --context",
        ))
    }
}
