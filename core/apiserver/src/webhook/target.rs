//! Where a webhook is: a URL, or a Service of the cluster. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::Uri;
use serde_json::Value;

use super::WebhookError;

/// A webhook's `clientConfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub place: Place,
    /// The path with a slash before it, and what query there is to be.
    pub path: String,
    /// Whom the server must be certified by, in PEM; none are the machine's authorities.
    pub ca_bundle: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Url { host: String, port: u16 },
    Service { namespace: String, name: String, port: u16 },
}

impl Target {
    /// Reads `{url | service, caBundle}`.
    ///
    /// # Errors
    /// It leads nowhere.
    pub fn of(config: &Value) -> Result<Self, WebhookError> {
        let wrong = |why: &str| WebhookError::Config(why.to_owned());
        let ca_bundle = match config["caBundle"].as_str().filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let bytes = BASE64_STANDARD.decode(text).map_err(|_| wrong("caBundle is not base64"))?;
                Some(String::from_utf8(bytes).map_err(|_| wrong("caBundle is not PEM"))?)
            }
        };
        let service = &config["service"];
        if service.is_object() {
            let text = |key: &str| service[key].as_str().unwrap_or_default().to_owned();
            let port = service["port"].as_u64().unwrap_or(443);
            let port = u16::try_from(port).map_err(|_| wrong("the service's port is out of range"))?;
            let place = Place::Service { namespace: text("namespace"), name: text("name"), port };
            return Ok(Self { place, path: slashed(&text("path")), ca_bundle });
        }
        let url = config["url"].as_str().ok_or_else(|| wrong("there is neither a url nor a service"))?;
        let uri: Uri = url.parse().map_err(|_| wrong("the url can't be read"))?;
        if uri.scheme_str() != Some("https") {
            return Err(wrong("the url is not https"));
        }
        let host = uri.host().ok_or_else(|| wrong("the url has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let place = Place::Url { host, port: uri.port_u16().unwrap_or(443) };
        Ok(Self { place, path: slashed(uri.path()), ca_bundle })
    }

    /// The port that the owner names, which a Service leads on to another.
    pub fn port(&self) -> u16 {
        match &self.place {
            Place::Url { port, .. } | Place::Service { port, .. } => *port,
        }
    }

    /// As it is named in errors.
    pub fn url(&self) -> String {
        format!("https://{}:{}{}", self.server_name(), self.port(), self.path)
    }

    /// The name that the server's certificate must be for.
    pub fn server_name(&self) -> String {
        match &self.place {
            Place::Url { host, .. } => host.clone(),
            Place::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
        }
    }
}

fn slashed(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_config_leads_to_a_place() {
        let url =
            Target::of(&json!({"url": "https://example.com:8443/convert", "caBundle": "YQ=="})).unwrap();
        assert_eq!(url.place, Place::Url { host: "example.com".into(), port: 8443 });
        assert_eq!((url.path.as_str(), url.ca_bundle.as_deref()), ("/convert", Some("a")));
        let service = json!({"service": {"namespace": "n", "name": "hook", "path": "/x"}});
        let service = Target::of(&service).unwrap();
        assert_eq!(service.server_name(), "hook.n.svc");
        assert_eq!(service.place, Place::Service { namespace: "n".into(), name: "hook".into(), port: 443 });
        for config in [json!({}), json!({"url": "http://a.b"}), json!({"url": "https://a", "caBundle": "*"})]
        {
            assert!(Target::of(&config).is_err(), "{config}");
        }
    }
}
