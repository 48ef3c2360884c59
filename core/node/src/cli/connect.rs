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

    /// A client of any cluster: that of `--context`, or of the kubeconfig's current context.
    pub async fn as_kubectl(&self) -> Outcome<Client> {
        let next = "name a file with --kubeconfig, and a context of it with --context";
        let mut kubeconfig = Kubeconfig::default();
        for path in self.files().into_iter().filter(|path| path.exists()) {
            let read = Kubeconfig::read_from(&path).or_next(next)?;
            kubeconfig = kubeconfig.merge(read).or_next(next)?;
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.or_next(next)?;
        Client::try_from(config).or_next(next)
    }

    /// The user's kubeconfig files. $KUBECONFIG may be a list.
    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.kubeconfig.iter().flat_map(std::env::split_paths).collect();
        files.retain(|path| path.as_os_str() != "");
        if files.is_empty() {
            files.push(crate::kubeconfig::user_file());
        }
        files
    }

    async fn config(&self, global: &Global) -> Outcome<Config> {
        let own = context_name(&global.cluster);
        let named = self.context.clone().unwrap_or_else(|| own.clone());
        let users = self.files().into_iter().map(|path| (path, named.clone()));
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
