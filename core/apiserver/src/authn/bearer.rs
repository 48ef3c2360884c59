//! The bearer token of a request: from its header, or, for a WebSocket that a
//! browser opens, from its list of subprotocols.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};

/// A browser cannot set headers on a WebSocket, so the token comes as a subprotocol.
const PROTOCOL_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// The token, taken out of the headers. `Err` when there is one that is not text.
/// Another scheme than Bearer counts as no credentials.
pub fn take(headers: &mut HeaderMap) -> Result<Option<String>, String> {
    let token = match headers.remove(header::AUTHORIZATION) {
        Some(value) => from_header(&value)?,
        None => None,
    };
    Ok(match token {
        Some(token) => Some(token),
        None => take_from_protocols(headers)?,
    })
}

fn from_header(value: &HeaderValue) -> Result<Option<String>, String> {
    let text = value.to_str().map_err(|_| "the authorization header is not text")?;
    let Some((scheme, token)) = text.trim().split_once(' ') else { return Ok(None) };
    let token = token.trim();
    Ok((scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned()))
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
        let taken = take(&mut headers).map_err(drop);
        assert_eq!(taken, token.map(|token| token.map(String::from)), "{value}");
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
        let protocols = "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj";
        check("sec-websocket-protocol", protocols, Ok(Some("abc")), Some("v4.channel.k8s.io"));
        check("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.YWJj", Err(()), None);
        check("sec-websocket-protocol", "x, base64url.bearer.authorization.k8s.io.***", Err(()), None);
        check("sec-websocket-protocol", "v5.channel.k8s.io", Ok(None), Some("v5.channel.k8s.io"));
    }
}
