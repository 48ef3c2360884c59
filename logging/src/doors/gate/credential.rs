//! The token and the namespace asked for, from a request's headers. Pure.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, header::AUTHORIZATION};

use crate::doors::{Refusal, refusal::Kind};

/// Padding as senders like it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The token: a bearer's, the password of `Basic`, or the secret half of Elasticsearch's `ApiKey`.
pub fn token(headers: &HeaderMap) -> Result<String, Refusal> {
    let refusal = |message: &str| Refusal::new(Kind::Unauthenticated, message);
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Err(refusal(
            "no token: send `Authorization: Bearer <token>` of a service account, or the token as Basic's password",
        ));
    };
    let text = value.to_str().unwrap_or_default().trim();
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        Some(rest.to_owned())
    } else if scheme.eq_ignore_ascii_case("basic") || scheme.eq_ignore_ascii_case("apikey") {
        let decoded = LENIENT.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.and_then(|pair| Some(pair.split_once(':')?.1.to_owned()))
    } else {
        None
    };
    token.filter(|token| !token.is_empty()).ok_or_else(|| {
        refusal("the header Authorization can't be understood: `Bearer <token>`, or `Basic` with the token as password")
    })
}

/// `X-Tiphys-Namespace`, or Loki's `X-Scope-OrgID`.
pub fn asked_namespace(headers: &HeaderMap) -> Option<&str> {
    let named = ["x-tiphys-namespace", "x-scope-orgid"].into_iter().find_map(|name| headers.get(name))?;
    // What is no text is no namespace either, and is refused as one.
    Some(named.to_str().unwrap_or("\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD as BASE64;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn tokens_come_in_several_ways() {
        let check = |value: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
            assert_eq!(token(&headers).ok().as_deref(), expected, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check(&format!("Basic {}", BASE64.encode("any:a:b")), Some("a:b"));
        check(&format!("ApiKey {}", BASE64.encode("id:key").trim_end_matches('=')), Some("key"));
        check("Basic any:abc", None);
        check("Bearer", None);
        check("Digest abc", None);
        assert!(token(&HeaderMap::new()).expect_err("none").message.contains("Bearer"));
    }
}
