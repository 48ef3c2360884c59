//! The bearer token of a request: from its header, or, for a WebSocket that a
//! browser opens, from its list of subprotocols.
//!
//! Clients of Arrow Flight that are given a name and a password send them as Basic. There,
//! and nowhere else, the password is the token; the name says nothing.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_URL_SAFE_NO_PAD,
};
use http::{HeaderMap, HeaderValue, header};
use tiphys_api::{auth::AsPassword, names::FLIGHT_PATH};

/// A browser cannot set headers on a WebSocket, so the token comes as a subprotocol.
const PROTOCOL_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// Go's clients pad nothing, the others do.
const BASIC: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A token, and how it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub token: String,
    pub as_password: bool,
}

impl Shown {
    pub fn password(self) -> Option<AsPassword> {
        self.as_password.then_some(AsPassword(self.token))
    }
}

/// The token, taken out of the headers of a request for this path. `Err` when there is one that is
/// not text. Another scheme than Bearer counts as no credentials.
pub fn take(path: &str, headers: &mut HeaderMap) -> Result<Option<Shown>, String> {
    let shown = match headers.remove(header::AUTHORIZATION) {
        Some(value) => from_header(path, &value)?,
        None => None,
    };
    Ok(match shown {
        Some(shown) => Some(shown),
        None => take_from_protocols(headers)?.map(|token| Shown { token, as_password: false }),
    })
}

fn from_header(path: &str, value: &HeaderValue) -> Result<Option<Shown>, String> {
    let text = value.to_str().map_err(|_| "the authorization header is not text")?;
    let Some((scheme, rest)) = text.trim().split_once(' ') else { return Ok(None) };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") && is_flight(path) {
        return from_basic(rest).map(|token| Some(Shown { token, as_password: true }));
    }
    let is_token = scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty();
    Ok(is_token.then(|| Shown { token: rest.to_owned(), as_password: false }))
}

fn is_flight(path: &str) -> bool {
    path.strip_prefix(FLIGHT_PATH).is_some_and(|rest| rest.starts_with('/'))
}

/// The password of `name:password`. Who gives one is not taken for a stranger if it is none.
fn from_basic(encoded: &str) -> Result<String, String> {
    let text = BASIC.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or("name and password are not base64 of text")?;
    let (_, password) = text.split_once(':').ok_or("there is no password beside the name")?;
    match password.trim() {
        "" => Err("the password is empty".into()),
        password => Ok(password.to_owned()),
    }
}

fn take_from_protocols(headers: &mut HeaderMap) -> Result<Option<String>, String> {
    let offered: Vec<String> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|protocol| protocol.trim().to_owned())
        .collect();
    let mut tokens = offered.iter().filter_map(|protocol| protocol.strip_prefix(PROTOCOL_PREFIX));
    let Some(encoded) = tokens.next() else { return Ok(None) };
    if tokens.next().is_some() {
        return Err("more than one bearer token among the subprotocols".into());
    }
    let token = BASE64_URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let token = token.ok_or("the bearer token among the subprotocols is not base64")?;
    let rest: Vec<&str> = offered
        .iter()
        .filter(|protocol| !protocol.starts_with(PROTOCOL_PREFIX))
        .map(String::as_str)
        .collect();
    if rest.is_empty() {
        return Err("a subprotocol beside the bearer token is needed".into());
    }
    let rest = HeaderValue::from_str(&rest.join(", ")).map_err(|_| "a subprotocol is not text")?;
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, rest);
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, value: &str, token: Result<Option<&str>, ()>, left: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let taken = take("/api/v1/pods", &mut headers).map_err(drop);
        let shown = |token: &str| Shown { token: token.to_owned(), as_password: false };
        assert_eq!(taken, token.map(|token| token.map(shown)), "{value}");
        if taken.is_ok() {
            assert_eq!(headers.get(name).map(|value| value.to_str().unwrap()), left, "{value}");
        }
    }

    #[test]
    fn a_token_is_taken_out_of_the_request() {
        check("authorization", "Bearer abc", Ok(Some("abc")), None);
        check("authorization", "bearer  abc ", Ok(Some("abc")), None);
        check("authorization", "Bearer ", Ok(None), None);
        check("authorization", "Basic dTpw", Ok(None), None);
        check("authorization", "Basic dTp0b2tlbg==", Ok(None), None);
        let protocols = "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj";
        check("sec-websocket-protocol", protocols, Ok(Some("abc")), Some("v4.channel.k8s.io"));
        check("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.YWJj", Err(()), None);
        check("sec-websocket-protocol", "x, base64url.bearer.authorization.k8s.io.***", Err(()), None);
        check("sec-websocket-protocol", "v5.channel.k8s.io", Ok(None), Some("v5.channel.k8s.io"));
    }

    fn basic(path: &str, value: &str) -> Result<Option<Shown>, String> {
        let mut headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        let taken = take(path, &mut headers);
        assert!(headers.is_empty(), "{value} is left");
        taken
    }

    #[test]
    fn abuse_29_a_password_is_a_token_for_flight_only() {
        let handshake = "/arrow.flight.protocol.FlightService/Handshake";
        let shown = |token: &str| Ok(Some(Shown { token: token.to_owned(), as_password: true }));
        // `u:token`, with and without padding; `:token`; `u:a:b`, as a password may have colons.
        for value in ["Basic dTp0b2tlbg==", "basic dTp0b2tlbg", "BASIC  dTp0b2tlbg== ", "Basic OnRva2Vu"] {
            assert_eq!(basic(handshake, value), shown("token"), "{value}");
        }
        assert_eq!(basic(handshake, "Basic dTphOmI"), shown("a:b"));
        assert_eq!(basic("/arrow.flight.protocol.FlightService/DoGet", "Basic dTphOmI="), shown("a:b"));
        // `u:`, `u: `, `token`, no base64, bytes that are no text.
        for value in ["Basic dTo=", "Basic dTog", "Basic dG9rZW4=", "Basic ***", "Basic dTr/", "Basic "] {
            assert!(!matches!(basic(handshake, value), Ok(Some(_))), "{value}");
        }
        for path in [
            "/arrow.flight.protocol.FlightService",
            "/arrow.flight.protocol.FlightServices/Handshake",
            "/tiphys/v1/sql",
            "/tiphys.logs.v1.Logs/Search",
            "/api/v1/pods",
            "/x/arrow.flight.protocol.FlightService/Handshake",
            "",
        ] {
            assert_eq!(basic(path, "Basic dTp0b2tlbg=="), Ok(None), "{path}");
        }
    }
}
