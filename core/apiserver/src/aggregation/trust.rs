//! What extension servers have to know of this server: by whom it and its clients are certified,
//! and in which headers it says who a user is. Pure.
//!
//! Several servers write one document: each adds what is its own, and takes away what has expired.

use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Map, Value, json};

use super::identity;
use crate::pki::FRONT_PROXY_NAME;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
const CLIENT_CA: &str = "client-ca-file";
const PROXY_CA: &str = "requestheader-client-ca-file";
/// For clocks that differ, in seconds.
const SLACK: i64 = 300;

/// One server's part of the document.
pub struct Trust {
    client_ca: String,
    proxy_ca: String,
}

impl Trust {
    pub fn of(client_ca: &str, proxy_ca: &str) -> Self {
        Self { client_ca: client_ca.to_owned(), proxy_ca: proxy_ca.to_owned() }
    }

    /// The document with this server's part; `now` in seconds since the Unix epoch.
    pub fn combined(&self, stored: &Value, now: i64) -> Map<String, Value> {
        let text = |key: &str| stored[key].as_str().unwrap_or_default();
        let mut data = Map::new();
        for (key, own) in [(CLIENT_CA, &self.client_ca), (PROXY_CA, &self.proxy_ca)] {
            data.insert(key.into(), certificates(text(key), own, now).into());
        }
        for (key, own) in [
            ("requestheader-username-headers", identity::USER),
            ("requestheader-uid-headers", identity::UID),
            ("requestheader-group-headers", identity::GROUP),
            ("requestheader-extra-headers-prefix", identity::EXTRA_PREFIX),
            ("requestheader-allowed-names", FRONT_PROXY_NAME),
        ] {
            data.insert(key.into(), names(text(key), own).into());
        }
        data
    }
}

/// Both lists' certificates, each once and none that has expired.
fn certificates(stored: &str, own: &str, now: i64) -> String {
    let mut kept: Vec<CertificateDer<'static>> = Vec::new();
    let mut text = String::new();
    for block in blocks(stored).chain(blocks(own)) {
        let Ok(certificate) = CertificateDer::from_pem_slice(block.as_bytes()) else { continue };
        if kept.contains(&certificate) || has_expired(&certificate, now) {
            continue;
        }
        text.push_str(block);
        text.push('\n');
        kept.push(certificate);
    }
    text
}

/// The certificates of a PEM text, one after the other.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split(BEGIN).skip(1).filter_map(move |rest| {
        let end = rest.find(END)? + END.len();
        let start = rest.as_ptr() as usize - text.as_ptr() as usize - BEGIN.len();
        text.get(start..start + BEGIN.len() + end)
    })
}

fn has_expired(certificate: &CertificateDer<'_>, now: i64) -> bool {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok((_, parsed)) => parsed.validity().not_after.timestamp() + SLACK < now,
        Err(_) => true,
    }
}

/// A list in JSON, with one more name.
fn names(stored: &str, own: &str) -> String {
    let mut names: Vec<String> = serde_json::from_str(stored).unwrap_or_default();
    if !names.iter().any(|name| name == own) {
        names.push(own.to_owned());
    }
    json!(names).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(expires: i32) -> String {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.not_after = rcgen::date_time_ymd(expires, 1, 1);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn servers_share_the_document() {
        let (client, one, two, old) = (authority(2099), authority(2099), authority(2099), authority(2001));
        let first = Trust::of(&client, &one).combined(&json!({}), NOW);
        assert_eq!(first["requestheader-username-headers"], "[\"X-Remote-User\"]");
        assert_eq!(first["requestheader-extra-headers-prefix"], "[\"X-Remote-Extra-\"]");
        assert_eq!(first["requestheader-allowed-names"], "[\"front-proxy-client\"]");
        assert_eq!(blocks(first[PROXY_CA].as_str().unwrap()).count(), 1);
        let mut stored = Value::from(first.clone());
        stored[PROXY_CA] = format!("{old}\nwhatever\n{}", stored[PROXY_CA].as_str().unwrap()).into();
        stored["requestheader-allowed-names"] = "[\"another\"]".into();
        let both = Trust::of(&client, &two).combined(&stored, NOW);
        let proxies: Vec<&str> = blocks(both[PROXY_CA].as_str().unwrap()).collect();
        assert_eq!(proxies, [one.trim(), two.trim()], "the expired one is gone, nothing else is");
        assert_eq!(blocks(both[CLIENT_CA].as_str().unwrap()).count(), 1);
        assert_eq!(both["requestheader-allowed-names"], "[\"another\",\"front-proxy-client\"]");
        let again = Trust::of(&client, &one).combined(&Value::from(both.clone()), NOW);
        assert_eq!(again, both, "two servers do not write against each other");
    }

    #[test]
    fn a_document_that_was_spoilt_is_mended() {
        let own = authority(2099);
        let spoilt =
            json!({ PROXY_CA: "-----BEGIN CERTIFICATE-----\nnone", "requestheader-group-headers": "{" });
        let mended = Trust::of(&own, &own).combined(&spoilt, NOW);
        assert_eq!(blocks(mended[PROXY_CA].as_str().unwrap()).collect::<Vec<_>>(), [own.trim()]);
        assert_eq!(mended["requestheader-group-headers"], "[\"X-Remote-Group\"]");
    }
}
