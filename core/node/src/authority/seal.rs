//! A text encrypted with a secret that people choose: the key is derived slowly, so
//! that trying secrets out is slow too.

use std::num::NonZeroU32;

use anyhow::{anyhow, ensure};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    pbkdf2,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");
const SALT: usize = 16;
const SHORTEST: usize = 16;

/// What is stored.
#[derive(Serialize, Deserialize)]
pub struct Sealed {
    rounds: NonZeroU32,
    /// Base64.
    salt: String,
    nonce: String,
    text: String,
}

/// Encrypts; `place` is bound to it.
pub fn seal(text: &[u8], secret: &str, place: &str) -> anyhow::Result<Sealed> {
    ensure!(secret.len() >= SHORTEST, "the cluster secret must have at least {SHORTEST} characters");
    let (salt, nonce): ([u8; SALT], [u8; NONCE_LEN]) = (rand::random(), rand::random());
    let mut sealed = text.to_vec();
    key(secret, &salt, ROUNDS)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut sealed)
        .map_err(|_| anyhow!("the cluster's keys can't be encrypted"))?;
    let [salt, nonce, text] = [&salt[..], &nonce, &sealed].map(|bytes| STANDARD.encode(bytes));
    Ok(Sealed { rounds: ROUNDS, salt, nonce, text })
}

/// The inverse of [`seal`].
pub fn open(sealed: &Sealed, secret: &str, place: &str) -> anyhow::Result<Vec<u8>> {
    let salt = STANDARD.decode(&sealed.salt)?;
    let nonce = Nonce::try_assume_unique_for_key(&STANDARD.decode(&sealed.nonce)?)
        .map_err(|_| anyhow!("the cluster's keys in the store were changed"))?;
    let mut text = STANDARD.decode(&sealed.text)?;
    let length = key(secret, &salt, sealed.rounds)?
        .open_in_place(nonce, Aad::from(place), &mut text)
        .map_err(|_| {
            anyhow!("this cluster secret is not the one that the cluster's keys are encrypted with")
        })?
        .len();
    text.truncate(length);
    Ok(text)
}

fn key(secret: &str, salt: &[u8], rounds: NonZeroU32) -> anyhow::Result<LessSafeKey> {
    let mut bytes = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, secret.as_bytes(), &mut bytes);
    let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| anyhow!("no key of AES"))?;
    Ok(LessSafeKey::new(key))
}
