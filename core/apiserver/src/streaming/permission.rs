//! What an upgrade is, when the user's rights to it are asked.

use http::{HeaderMap, Method, header};

/// The verb that exec, attach, portforward and proxy are authorized by, beside the
/// verb of their method.
///
/// A WebSocket opens with a GET, and `get` would be enough for it; but whoever
/// opens one does what `create` stands for, so both are asked. The same holds for
/// an upgrade through a proxy: behind `nodes/NAME/proxy` lies the kubelet's exec.
pub fn authorization_verb(method: &Method, subresource: &str, headers: &HeaderMap) -> &'static str {
    match (subresource, method) {
        ("exec" | "attach" | "portforward", _) => "create",
        ("proxy", _) if headers.contains_key(header::UPGRADE) => "create",
        (_, &Method::GET | &Method::HEAD) => "get",
        (_, &Method::PUT) => "update",
        (_, &Method::PATCH) => "patch",
        (_, &Method::DELETE) => "delete",
        _ => "create",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abuse_07_a_get_that_upgrades_is_a_create() {
        let (plain, mut upgrade) = (HeaderMap::new(), HeaderMap::new());
        upgrade.insert(header::UPGRADE, "websocket".parse().unwrap());
        for subresource in ["exec", "attach", "portforward"] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(authorization_verb(&method, subresource, &plain), "create");
            }
        }
        assert_eq!(authorization_verb(&Method::GET, "proxy", &upgrade), "create");
        assert_eq!(authorization_verb(&Method::GET, "proxy", &plain), "get");
        assert_eq!(authorization_verb(&Method::DELETE, "proxy", &plain), "delete");
    }
}
