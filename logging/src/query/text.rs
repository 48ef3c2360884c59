//! What a word is. Search, index and filters all go by these rules, which is why
//! the index never hides a record that the exact check would find.
//!
//! A token is a longest run of ASCII letters, digits, `_` and bytes above ASCII,
//! in lower case (ASCII only). Tokens with much variety (numbers of six digits
//! or more, letters mixed with digits, long ones) are *ids*: they go into a
//! block's filter; the rest are *words* and go into the dictionary.

/// Longer tokens are looked up by hash only.
const MAX_WORD: usize = 40;

/// What a byte is to a token; 0 where it is no part of one.
const PARTS: [u8; 256] = {
    let mut parts = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let one = byte as u8;
        if one.is_ascii_digit() {
            parts[byte] = PART | DIGIT;
        } else if one.is_ascii_uppercase() {
            parts[byte] = PART | UPPER;
        } else if one.is_ascii_lowercase() || one == b'_' || one >= 0x80 {
            parts[byte] = PART;
        }
        byte += 1;
    }
    parts
};
const DIGIT: u8 = 1;
const UPPER: u8 = 2;
const PART: u8 = 4;

/// Part of a token.
pub fn is_token_byte(byte: u8) -> bool {
    PARTS[usize::from(byte)] != 0
}

/// Calls `found` with each token, in lower case.
pub fn for_each_token(text: &[u8], mut found: impl FnMut(&[u8])) {
    for_each_token_in(text, &mut Vec::with_capacity(64), |token, _| found(token));
}

/// The same with a buffer that is used again, and whether the token is an id.
pub fn for_each_token_in(text: &[u8], lower: &mut Vec<u8>, mut found: impl FnMut(&[u8], bool)) {
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let (mut seen, mut digits) = (0, 0);
        while let Some(part @ 1..) = text.get(at).map(|byte| PARTS[usize::from(*byte)]) {
            seen |= part;
            digits += usize::from(part & DIGIT);
            at += 1;
        }
        let run = &text[start..at];
        // Behind it stands a byte of no token.
        at += 1;
        if seen == 0 {
            continue;
        }
        let is_id = is_id_of(run.len(), digits);
        if seen & UPPER == 0 {
            found(run, is_id);
            continue;
        }
        lower.clear();
        lower.extend(run.iter().map(u8::to_ascii_lowercase));
        found(lower, is_id);
    }
}

/// All tokens of a text, in order.
pub fn tokens(text: &[u8]) -> Vec<Vec<u8>> {
    let mut tokens = Vec::new();
    for_each_token(text, |token| tokens.push(token.to_vec()));
    tokens
}

/// Goes into the filter, not into the dictionary.
pub fn is_id(token: &[u8]) -> bool {
    is_id_of(token.len(), token.iter().filter(|byte| byte.is_ascii_digit()).count())
}

fn is_id_of(length: usize, digits: usize) -> bool {
    let mixed = digits > 0 && digits < length;
    mixed || digits >= 6 || length > MAX_WORD
}

/// The key of a token in a filter. Part of the file format: it must never change.
/// FNV-1a, then a finalizer that spreads the bits.
pub fn id_hash(token: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in token {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_runs_in_lower_case() {
        let words = |text: &str| -> Vec<String> {
            tokens(text.as_bytes()).into_iter().map(|t| String::from_utf8(t).expect("UTF-8")).collect()
        };
        assert_eq!(words("GET /api/Users_1?id=77 é"), ["get", "api", "users_1", "id", "77", "é"]);
        assert!(words(" --- ").is_empty());
    }

    #[test]
    fn ids_are_what_varies() {
        for id in ["123456", "a1", "7f3c", "x_9"] {
            assert!(is_id(id.as_bytes()), "{id}");
        }
        for word in ["error", "500", "12345", "timed_out"] {
            assert!(!is_id(word.as_bytes()), "{word}");
        }
        assert!(is_id(&[b'x'; 41]));
    }
}
