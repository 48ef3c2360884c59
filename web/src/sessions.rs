//! One-time links and sessions, in memory: a restart of the server signs everybody out.
//!
//! Both are random secrets, kept by their hash, so that a look-up takes the same
//! time whatever is sent and a dump of memory shows no live secret.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tiphys_api::auth::UserInfo;

const LINK_LIVES: Duration = Duration::from_secs(300);
/// Since it was last used.
const SESSION_LIVES: Duration = Duration::from_secs(12 * 3600);
/// More of either are refused by dropping the oldest.
const MOST: usize = 10_000;

type Hash = [u8; 32];

struct Entry {
    user: UserInfo,
    until: Instant,
}

#[derive(Default)]
pub struct Sessions {
    links: Mutex<HashMap<Hash, Entry>>,
    sessions: Mutex<HashMap<Hash, Entry>>,
}

impl Sessions {
    /// A code that signs in as `user`, once, within five minutes.
    pub fn new_link(&self, user: UserInfo) -> String {
        insert(&mut self.links.lock(), user, LINK_LIVES)
    }

    /// Whose link this is; it is used up.
    pub fn use_link(&self, code: &str) -> Option<UserInfo> {
        let entry = self.links.lock().remove(&hash(code))?;
        (entry.until > Instant::now()).then_some(entry.user)
    }

    /// A session's secret, for a cookie.
    pub fn open(&self, user: UserInfo) -> String {
        insert(&mut self.sessions.lock(), user, SESSION_LIVES)
    }

    /// Whose session this is; it lives its whole time again.
    pub fn user(&self, secret: &str) -> Option<UserInfo> {
        let mut sessions = self.sessions.lock();
        let key = hash(secret);
        let entry = sessions.get_mut(&key)?;
        if entry.until <= Instant::now() {
            sessions.remove(&key);
            return None;
        }
        entry.until = Instant::now() + SESSION_LIVES;
        Some(entry.user.clone())
    }

    pub fn close(&self, secret: &str) {
        self.sessions.lock().remove(&hash(secret));
    }
}

fn insert(entries: &mut HashMap<Hash, Entry>, user: UserInfo, lives: Duration) -> String {
    let now = Instant::now();
    entries.retain(|_, entry| entry.until > now);
    if entries.len() >= MOST
        && let Some(oldest) = entries.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| *key)
    {
        entries.remove(&oldest);
    }
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    entries.insert(hash(&secret), Entry { user, until: now + lives });
    secret
}

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_works_once() {
        let sessions = Sessions::default();
        let code = sessions.new_link(UserInfo::named("ada", &[]));
        assert_eq!(sessions.use_link(&code).map(|user| user.name).as_deref(), Some("ada"));
        assert_eq!(sessions.use_link(&code), None);
        assert_eq!(sessions.use_link("guess"), None);
    }

    #[test]
    fn a_closed_session_is_nobodys() {
        let sessions = Sessions::default();
        let secret = sessions.open(UserInfo::named("ada", &[]));
        assert!(sessions.user(&secret).is_some());
        sessions.close(&secret);
        assert!(sessions.user(&secret).is_none());
    }
}
