//! Where the objects are kept: options that several commands take. The names of
//! those about etcd are kube-apiserver's.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use tiphys_store::{EtcdOptions, EtcdTls};

#[derive(Debug, Clone, Default, clap::Args)]
pub struct StoreOptions {
    /// Keep the objects in etcd, at these addresses (separated by commas), not in the data folder
    #[arg(long, value_delimiter = ',', value_name = "URL")]
    pub etcd_servers: Vec<String>,
    /// The authority that signed the certificates of etcd
    #[arg(long, value_name = "FILE", requires = "etcd_servers")]
    pub etcd_cafile: Option<PathBuf>,
    /// The certificate to show to etcd
    #[arg(long, value_name = "FILE", requires_all = ["etcd_keyfile", "etcd_cafile"])]
    pub etcd_certfile: Option<PathBuf>,
    /// The key of that certificate
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    pub etcd_keyfile: Option<PathBuf>,
    /// Put before every key, so that several clusters can share one etcd
    #[arg(long, value_name = "TEXT", default_value = "", requires = "etcd_servers")]
    pub etcd_prefix: String,
    /// How often etcd gives up the past, such as 5m; 0 leaves that to somebody else
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub etcd_compaction_interval: Duration,
}

impl StoreOptions {
    /// How to reach etcd; `None` when the objects are in the data folder.
    ///
    /// # Errors
    /// A file of the credentials can't be read.
    pub fn etcd(&self) -> anyhow::Result<Option<EtcdOptions>> {
        if self.etcd_servers.is_empty() {
            return Ok(None);
        }
        let read =
            |path: &PathBuf| std::fs::read(path).with_context(|| format!("{} can't be read", path.display()));
        let tls = match &self.etcd_cafile {
            None => None,
            Some(ca) => {
                let identity = self.etcd_certfile.as_ref().zip(self.etcd_keyfile.as_ref());
                let identity = identity
                    .map(|(certificate, key)| Ok::<_, anyhow::Error>((read(certificate)?, read(key)?)));
                Some(EtcdTls { ca_pem: read(ca)?, identity_pem: identity.transpose()? })
            }
        };
        Ok(Some(EtcdOptions {
            prefix: self.etcd_prefix.clone(),
            tls,
            compact_every: self.etcd_compaction_interval,
            ..EtcdOptions::new(self.etcd_servers.iter().map(|url| url.trim_end_matches('/')))
        }))
    }
}

/// A time such as `90s`, `5m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time such as 90s, 5m or 0");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "" if number == 0 => 1,
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("0", 0), ("90s", 90), ("5m", 300), ("1h", 3600)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "5", "m", "5d", "-1s", "1m30s"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
