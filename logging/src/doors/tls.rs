//! The doors' certificate: read from files, and again when they are others.
//!
//! Whether they are is looked at when a connection comes, so that a Secret's volume
//! that the kubelet swaps counts from the next connection on. Files that don't fit
//! each other, as while they are being written, leave the certificate that was.

use std::{fs, io, os::unix::fs::MetadataExt, path::PathBuf, sync::Arc};

use parking_lot::Mutex;
use rustls::{ServerConfig, crypto::aws_lc_rs::default_provider};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Where certificate and key are, in PEM. Files that aren't there may come later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those that it takes to its authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What connections are greeted with. Clones share it.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    protocols: Vec<Vec<u8>>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// What the files were when they were read.
    seen: Option<[Seen; 2]>,
    config: Option<Arc<ServerConfig>>,
}

/// Device, inode, size and the time of the last change.
type Seen = (u64, u64, u64, i64, i64);

impl Tls {
    /// Speaks these protocols (ALPN), if the other side says which it speaks.
    pub fn new(files: TlsFiles, protocols: &[&str]) -> Self {
        let protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self(Arc::new(Shared { files, protocols, current: Mutex::default() }))
    }

    /// As the files are now; `None` while there was no certificate yet.
    pub fn config(&self) -> Option<Arc<ServerConfig>> {
        let Shared { files, protocols, current } = &*self.0;
        let mut current = current.lock();
        let seen = seen(files).ok();
        if seen != current.seen {
            current.seen = seen;
            match load(files, protocols) {
                Ok(config) => {
                    tracing::info!(certificate = %files.certificate.display(), "the doors have a certificate");
                    current.config = Some(config);
                }
                Err(why) => {
                    let had = current.config.is_some();
                    tracing::warn!(certificate = %files.certificate.display(), why, keeps_the_one_before = had, "certificate of the doors can't be used");
                }
            }
        }
        current.config.clone()
    }
}

fn seen(files: &TlsFiles) -> io::Result<[Seen; 2]> {
    let of = |path: &PathBuf| {
        let metadata = fs::metadata(path)?;
        Ok::<_, io::Error>((
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        ))
    };
    Ok([of(&files.certificate)?, of(&files.key)?])
}

fn load(files: &TlsFiles, protocols: &[Vec<u8>]) -> Result<Arc<ServerConfig>, String> {
    let wrong = |path: &PathBuf, why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&files.certificate).and_then(|all| all.collect());
    let certificates = certificates.map_err(|why| wrong(&files.certificate, &why))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|why| wrong(&files.key, &why))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|why| wrong(&files.certificate, &why))?;
    config.alpn_protocols = protocols.to_vec();
    Ok(Arc::new(config))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::*;

    /// Writes a certificate for `localhost` and its key; gives the certificate.
    pub(crate) fn write(folder: &Path) -> (TlsFiles, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let files = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
        for (path, text) in
            [(&files.certificate, made.cert.pem()), (&files.key, made.signing_key.serialize_pem())]
        {
            // As a Secret's volume: another file, at once.
            let fresh = path.with_extension("fresh");
            fs::write(&fresh, text).expect("written");
            fs::rename(&fresh, path).expect("renamed");
        }
        (files, made.cert.pem())
    }

    #[test]
    fn a_certificate_may_come_late_and_be_changed_and_a_wrong_one_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let files =
            TlsFiles { certificate: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
        let tls = Tls::new(files.clone(), &["h2"]);
        assert!(tls.config().is_none());
        write(folder.path());
        let first = tls.config().expect("it is there");
        assert!(Arc::ptr_eq(&first, &tls.config().expect("there")), "it is read once");
        fs::write(&files.key, "no key").expect("written");
        assert!(Arc::ptr_eq(&first, &tls.config().expect("there")));
        write(folder.path());
        assert!(!Arc::ptr_eq(&first, &tls.config().expect("there")));
        fs::remove_file(&files.certificate).expect("deleted");
        assert!(tls.config().is_some());
    }
}
