//! Sealing and opening values: which rule holds for a key of the store, and which
//! of its keys a value was sealed with.
//!
//! A sealed value is `k8s:enc:aesgcm:v1:<key's name>:`, a random nonce of 12 bytes,
//! the ciphertext and its tag: Kubernetes' own layout, with the store's key as
//! associated data.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand,
};
use bytes::Bytes;

use super::resource::{self, Pattern};

/// What every sealed value begins with, whoever sealed it.
const SEALED: &[u8] = b"k8s:enc:";

/// The rules, of which the first that names a resource holds for it.
#[derive(Debug, Default)]
pub struct Keyring {
    rules: Vec<Rule>,
}

#[derive(Debug)]
pub struct Rule {
    pub patterns: Vec<Pattern>,
    /// The first writes, all read.
    pub providers: Vec<Provider>,
}

#[derive(Debug)]
pub enum Provider {
    Identity,
    /// The first key writes, all read. Never empty.
    AesGcm(Vec<Key>),
}

/// A named key. What it seals begins with its label.
pub struct Key {
    label: Vec<u8>,
    aead: LessSafeKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.label))
    }
}

/// A value that nobody can open, or seal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("it was encrypted with {0}, which --encryption-provider-config doesn't have for it")]
    NoKey(String),
    #[error("it was changed, moved from another object, or encrypted with another key of the same name")]
    Forged,
    #[error("it is not encrypted, and identity is not among its providers")]
    Plain,
    #[error("no random number could be had")]
    Random,
}

impl Key {
    pub fn new(name: &str, secret: &[u8]) -> Result<Self, String> {
        let algorithm = match secret.len() {
            16 => &AES_128_GCM,
            24 => &AES_192_GCM,
            32 => &AES_256_GCM,
            other => return Err(format!("the secret of {name} must have 16, 24 or 32 bytes, not {other}")),
        };
        let key =
            UnboundKey::new(algorithm, secret).map_err(|_| format!("the secret of {name} is no key"))?;
        let label = format!("k8s:enc:aesgcm:v1:{name}:").into_bytes();
        Ok(Self { label, aead: LessSafeKey::new(key) })
    }

    fn seal(&self, key: &str, value: &[u8]) -> Result<Bytes, SealError> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let mut sealed = Vec::with_capacity(self.label.len() + NONCE_LEN + value.len() + 16);
        sealed.extend_from_slice(&self.label);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(value);
        let begin = self.label.len() + NONCE_LEN;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .aead
            .seal_in_place_separate_tag(nonce, Aad::from(key), &mut sealed[begin..])
            .map_err(|_| SealError::Random)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed.into())
    }

    fn open(&self, key: &str, sealed: &[u8]) -> Result<Bytes, SealError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::Forged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Forged)?;
        let mut value = sealed.to_vec();
        let length = {
            let opened = self.aead.open_in_place(nonce, Aad::from(key), &mut value);
            opened.map_err(|_| SealError::Forged)?.len()
        };
        value.truncate(length);
        Ok(value.into())
    }
}

impl Keyring {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// The value as it goes to the store.
    pub fn seal(&self, key: &str, value: Bytes) -> Result<Bytes, SealError> {
        match self.rule(key).and_then(|rule| rule.providers.first()) {
            Some(Provider::AesGcm(keys)) => keys[0].seal(key, &value),
            Some(Provider::Identity) | None => Ok(value),
        }
    }

    /// The value as it came from the store.
    pub fn open(&self, key: &str, value: Bytes) -> Result<Bytes, SealError> {
        let rule = self.rule(key);
        if !value.starts_with(SEALED) {
            let plain = rule.is_none_or(|rule| {
                rule.providers.iter().any(|provider| matches!(provider, Provider::Identity))
            });
            return if plain { Ok(value) } else { Err(SealError::Plain) };
        }
        let fits = |candidate: &&Key| value.starts_with(&candidate.label);
        match rule.into_iter().flat_map(Rule::keys).find(fits) {
            Some(found) => found.open(key, &value[found.label.len()..]),
            None => Err(SealError::NoKey(label(&value))),
        }
    }

    /// Whether a value of the store would be written otherwise today.
    pub fn is_stale(&self, key: &str, value: &[u8]) -> bool {
        match self.rule(key).and_then(|rule| rule.providers.first()) {
            Some(Provider::AesGcm(keys)) => !value.starts_with(&keys[0].label),
            Some(Provider::Identity) | None => value.starts_with(SEALED),
        }
    }

    /// Where values may be that concern it: those it names, and Secrets, which it may have named once.
    pub fn prefixes(&self) -> Vec<String> {
        let named = self.rules.iter().flat_map(|rule| &rule.patterns).map(Pattern::prefix);
        let mut prefixes: Vec<_> = named.chain([format!("{}secrets/", resource::ROOT)]).collect();
        prefixes.sort_unstable();
        // A prefix of another one comes directly before it, or before others that it covers too.
        let mut kept: Vec<String> = Vec::new();
        for prefix in prefixes {
            if kept.last().is_none_or(|last| !prefix.starts_with(last.as_str())) {
                kept.push(prefix);
            }
        }
        kept
    }

    fn rule(&self, key: &str) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let (group, plural) = resource::of_key(key)?;
        self.rules.iter().find(|rule| rule.patterns.iter().any(|pattern| pattern.matches(group, plural)))
    }
}

impl Rule {
    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.providers.iter().flat_map(|provider| match provider {
            Provider::AesGcm(keys) => keys.as_slice(),
            Provider::Identity => &[],
        })
    }
}

/// The readable beginning of a sealed value: provider, version, key.
fn label(value: &[u8]) -> String {
    let words: Vec<_> = value.split(|byte| *byte == b':').skip(2).take(3).collect();
    String::from_utf8_lossy(&words.join(&b':')).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "/registry/secrets/default/a";

    fn key(name: &str, byte: u8) -> Key {
        Key::new(name, &[byte; 32]).expect("a key")
    }

    fn ring(providers: Vec<Provider>) -> Keyring {
        let patterns = vec![Pattern::parse("secrets").expect("a resource")];
        Keyring::new(vec![Rule { patterns, providers }])
    }

    fn sealed(ring: &Keyring) -> Bytes {
        ring.seal(SECRET, Bytes::from_static(b"{\"data\":1}")).expect("sealed")
    }

    #[test]
    fn the_first_writes_and_all_read() {
        let old = ring(vec![Provider::AesGcm(vec![key("one", 1)])]);
        let new = ring(vec![Provider::AesGcm(vec![key("two", 2), key("one", 1)]), Provider::Identity]);
        let off = ring(vec![Provider::Identity, Provider::AesGcm(vec![key("two", 2)])]);
        let by_old = sealed(&old);
        assert!(by_old.starts_with(b"k8s:enc:aesgcm:v1:one:"));
        assert_ne!(sealed(&old), by_old, "the nonce is fresh");
        assert_eq!(new.open(SECRET, by_old.clone()).expect("opened"), "{\"data\":1}");
        assert!(new.is_stale(SECRET, &by_old) && !new.is_stale(SECRET, &sealed(&new)));
        assert!(off.is_stale(SECRET, &sealed(&new)) && !off.is_stale(SECRET, b"{}"));
        assert_eq!(new.open(SECRET, Bytes::from_static(b"{}")).expect("plain"), "{}");
        assert_eq!(old.open(SECRET, Bytes::from_static(b"{}")), Err(SealError::Plain));
        assert_eq!(off.open(SECRET, by_old), Err(SealError::NoKey("aesgcm:v1:one".into())));
    }

    #[test]
    fn other_resources_are_left_alone() {
        let ring = ring(vec![Provider::AesGcm(vec![key("one", 1)])]);
        let plain = Bytes::from_static(b"{}");
        assert_eq!(ring.seal("/registry/pods/default/a", plain.clone()), Ok(plain.clone()));
        assert_eq!(ring.open("/registry/pods/default/a", plain.clone()), Ok(plain));
        assert_eq!(ring.prefixes(), ["/registry/secrets/"]);
        assert!(Keyring::default().open(SECRET, sealed(&ring)).is_err());
    }

    #[test]
    fn every_changed_byte_and_every_other_place_is_found() {
        let ring = ring(vec![Provider::AesGcm(vec![key("one", 1)])]);
        let value = sealed(&ring);
        let begin = b"k8s:enc:aesgcm:v1:one:".len();
        for at in begin..value.len() {
            let mut changed = value.to_vec();
            changed[at] ^= 1;
            assert_eq!(ring.open(SECRET, changed.into()), Err(SealError::Forged), "byte {at}");
        }
        assert_eq!(ring.open(SECRET, value.slice(..begin + 5)), Err(SealError::Forged));
        assert_eq!(ring.open("/registry/secrets/other/a", value), Err(SealError::Forged));
    }
}
