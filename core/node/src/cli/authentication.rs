//! The options of `tiphys server` that say who is let in, named as kube-apiserver's.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tiphys_apiserver::authn::{
    Anonymous,
    oidc::{AuthenticationConfiguration, Flags, Issuers},
};

#[derive(Debug, Clone, Default, clap::Args)]
pub struct AuthenticationOptions {
    /// An AuthenticationConfiguration of apiserver.config.k8s.io/v1: issuers of ID tokens, anonymous access
    #[arg(long, conflicts_with = "oidc_issuer_url")]
    pub authentication_config: Option<PathBuf>,
    /// The OpenID issuer whose ID tokens are trusted; https
    #[arg(long, requires = "oidc_client_id")]
    pub oidc_issuer_url: Option<String>,
    /// The audience that ID tokens must be for
    #[arg(long, requires = "oidc_issuer_url")]
    pub oidc_client_id: Option<String>,
    /// The authority of the issuer's certificate; without it, those of the machine
    #[arg(long, requires = "oidc_issuer_url")]
    pub oidc_ca_file: Option<PathBuf>,
    /// The claim with the user's name
    #[arg(long, default_value = "sub", requires = "oidc_issuer_url")]
    pub oidc_username_claim: String,
    /// What stands before names, "-" for nothing; without it, the issuer's URL, except for emails
    #[arg(long, default_value = "", requires = "oidc_issuer_url")]
    pub oidc_username_prefix: String,
    /// The claim with the user's groups
    #[arg(long, default_value = "", requires = "oidc_issuer_url")]
    pub oidc_groups_claim: String,
    /// What stands before groups
    #[arg(long, default_value = "", requires = "oidc_issuer_url")]
    pub oidc_groups_prefix: String,
    /// Algorithms that ID tokens may be signed by
    #[arg(long, value_delimiter = ',', default_value = "RS256", requires = "oidc_issuer_url")]
    pub oidc_signing_algs: Vec<String>,
    /// A claim that must be there with a value, key=value; may be given several times
    #[arg(long, requires = "oidc_issuer_url")]
    pub oidc_required_claim: Vec<String>,
}

impl AuthenticationOptions {
    /// The issuers that are trusted, and who needs no credentials.
    ///
    /// # Errors
    /// A file that can't be read, or an option that can't be meant.
    pub fn config(&self) -> anyhow::Result<(Issuers, Anonymous)> {
        let config = match (&self.authentication_config, &self.oidc_issuer_url) {
            (Some(file), _) => AuthenticationConfiguration::parse(&read(file)?)
                .with_context(|| format!("{} is not valid", file.display()))?,
            (None, Some(url)) => self.flags(url)?.config()?,
            (None, None) => AuthenticationConfiguration::default(),
        };
        let anonymous = match &config.anonymous {
            Some(anonymous) if !anonymous.enabled => Anonymous::Never,
            Some(anonymous) if !anonymous.conditions.is_empty() => {
                Anonymous::For(anonymous.conditions.iter().map(|condition| condition.path.clone()).collect())
            }
            _ => Anonymous::Always,
        };
        Ok((Issuers::new(&config)?, anonymous))
    }

    fn flags(&self, url: &str) -> anyhow::Result<Flags> {
        Ok(Flags {
            issuer_url: url.to_owned(),
            client_id: self.oidc_client_id.clone().unwrap_or_default(),
            certificate_authority: self.oidc_ca_file.as_deref().map(read).transpose()?,
            username_claim: self.oidc_username_claim.clone(),
            username_prefix: self.oidc_username_prefix.clone(),
            groups_claim: self.oidc_groups_claim.clone(),
            groups_prefix: self.oidc_groups_prefix.clone(),
            signing_algorithms: self.oidc_signing_algs.clone(),
            required_claims: self.oidc_required_claim.clone(),
        })
    }
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))
}
