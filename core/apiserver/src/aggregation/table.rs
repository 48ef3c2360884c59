//! Who answers for which group and version, read off the APIServices. Pure.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use tiphys_api::{
    access::{find, flag, int, list, present, text},
    kinds::api_service,
};

use super::priorities::{self, Priority};

/// One APIService.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub group: String,
    pub version: String,
    pub uid: String,
    pub priority: Priority,
    /// None: it is answered here.
    pub remote: Option<Remote>,
    /// Else the reason of the condition.
    pub available: Result<(), String>,
}

/// An extension server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    pub namespace: String,
    pub name: String,
    pub port: u16,
    pub trust: Trust,
}

/// Whom a server must be certified by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The authorities that the machine trusts.
    Machine,
    /// Those of a caBundle, in PEM.
    Bundle(String),
    Nobody,
}

impl Remote {
    /// The name that its certificate must be for.
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }

    /// As it is named in messages.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}:{}{path}", self.server_name(), self.port)
    }
}

impl Service {
    pub fn of(object: &Value) -> Self {
        let own = |pointer: &str| text(object, pointer).to_owned();
        let number = |key: &str| int(object, &format!("/spec/{key}")).unwrap_or_default();
        Self {
            group: own("/spec/group"),
            version: own("/spec/version"),
            uid: own("/metadata/uid"),
            priority: Priority { group: number("groupPriorityMinimum"), version: number("versionPriority") },
            remote: present(object, "/spec/service").map(|reference| remote(object, reference)),
            available: availability(object),
        }
    }

    pub fn name(&self) -> String {
        api_service::name(&self.group, &self.version)
    }

    /// Where its group and version are served.
    pub fn path(&self) -> String {
        format!("/apis/{}/{}", self.group, self.version)
    }

    /// Whether both are about the same server of the same object.
    pub fn leads_as(&self, other: &Self) -> bool {
        (&self.uid, &self.remote) == (&other.uid, &other.remote)
    }

    /// Whether it may lead elsewhere.
    fn may_be_remote(&self) -> bool {
        !self.group.is_empty() && self.group != api_service::GROUP
    }
}

fn remote(object: &Value, reference: &Value) -> Remote {
    let trust = match text(object, "/spec/caBundle") {
        "" if flag(object, "/spec/insecureSkipTLSVerify") => Trust::Nobody,
        "" => Trust::Machine,
        // What is no PEM is refused when it is needed, and the condition says so.
        bundle => Trust::Bundle(
            BASE64_STANDARD
                .decode(bundle)
                .ok()
                .and_then(|pem| String::from_utf8(pem).ok())
                .unwrap_or_default(),
        ),
    };
    let port = int(reference, "/port").and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
    let own = |pointer: &str| text(reference, pointer).to_owned();
    Remote { namespace: own("/namespace"), name: own("/name"), port, trust }
}

fn availability(object: &Value) -> Result<(), String> {
    match find(list(object, "/status/conditions"), "type", api_service::AVAILABLE) {
        Some(condition) if text(condition, "/status") == "True" => Ok(()),
        Some(condition) => Err(text(condition, "/reason").to_owned()),
        None => Err("not yet checked".into()),
    }
}

/// All APIServices.
#[derive(Debug, Default)]
pub struct Table {
    all: Vec<Arc<Service>>,
    /// Those that lead to extension servers.
    pub remote: Vec<Arc<Service>>,
}

impl Table {
    pub fn of(objects: &[Value]) -> Self {
        let all: Vec<Arc<Service>> = objects.iter().map(|object| Arc::new(Service::of(object))).collect();
        let leads = |service: &&Arc<Service>| service.remote.is_some() && service.may_be_remote();
        let remote = all.iter().filter(leads).cloned().collect();
        Self { all, remote }
    }

    /// The extension server of a group and version.
    pub fn remote(&self, group: &str, version: &str) -> Option<Arc<Service>> {
        let is_it = |service: &&Arc<Service>| (&*service.group, &*service.version) == (group, version);
        self.remote.iter().find(is_it).cloned()
    }

    /// Where a group and version stand in the order of all.
    pub fn priority(&self, group: &str, version: &str) -> Priority {
        if group == api_service::GROUP {
            return Priority { group: i64::MAX, version: 0 };
        }
        let own = self.all.iter().find(|service| (&*service.group, &*service.version) == (group, version));
        let own = own.map(|service| service.priority);
        own.or_else(|| priorities::builtin(group, version)).unwrap_or(priorities::CUSTOM)
    }
}

/// The group and version that a path is about which is no resource: `/apis/GROUP/VERSION` and its
/// `/openapi/v3/apis/GROUP/VERSION`.
pub fn group_version(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix("/openapi/v3").unwrap_or(path);
    let rest = path.strip_prefix("/apis/")?;
    let (group, version) = rest.strip_suffix('/').unwrap_or(rest).split_once('/')?;
    (!group.is_empty() && !version.is_empty() && !version.contains('/')).then_some((group, version))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(group: &str, spec: Value) -> Value {
        let mut object = json!({ "metadata": { "uid": "u" }, "spec": {
            "group": group, "version": "v1", "groupPriorityMinimum": 7, "versionPriority": 8,
            "service": { "namespace": "n", "name": "s", "port": 444 },
        } });
        object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        object
    }

    #[test]
    fn an_object_says_where_it_leads() {
        let table = [
            (json!({}), Trust::Machine),
            (json!({ "insecureSkipTLSVerify": true }), Trust::Nobody),
            (json!({ "caBundle": "YWJj" }), Trust::Bundle("abc".into())),
            // Whatever it is, it is not the machine's authorities, and not nobody.
            (json!({ "caBundle": "***" }), Trust::Bundle(String::new())),
            (json!({ "caBundle": "***", "insecureSkipTLSVerify": true }), Trust::Bundle(String::new())),
        ];
        for (spec, trust) in table {
            let remote = Service::of(&object("a.example", spec)).remote.unwrap();
            assert_eq!((remote.server_name().as_str(), remote.port, remote.trust), ("s.n.svc", 444, trust));
        }
        assert_eq!(Service::of(&object("a.example", json!({ "service": null }))).remote, None);
    }

    #[test]
    fn the_servers_own_groups_stay_its_own() {
        let objects = ["", api_service::GROUP, "a.example"].map(|group| object(group, json!({})));
        let table = Table::of(&objects);
        assert!(table.remote("", "v1").is_none() && table.remote(api_service::GROUP, "v1").is_none());
        assert!(table.remote("a.example", "v1").is_some() && table.remote("a.example", "v2").is_none());
        assert_eq!(table.priority("a.example", "v1"), Priority { group: 7, version: 8 });
        assert_eq!(table.priority("b.example", "v1"), priorities::CUSTOM);
        assert_eq!(table.priority("apps", "v1").group, 17800);
    }

    #[test]
    fn availability_is_what_the_condition_says() {
        let mut one = object("a.example", json!({}));
        assert!(Service::of(&one).available.is_err());
        let condition = |status: &str| json!([{ "type": "Available", "status": status, "reason": "Why" }]);
        for (status, available) in
            [("True", Ok(())), ("False", Err("Why".to_owned())), ("Unknown", Err("Why".into()))]
        {
            one["status"]["conditions"] = condition(status);
            assert_eq!(Service::of(&one).available, available);
        }
    }

    #[test]
    fn paths_that_are_no_resource_name_a_version() {
        let table = [
            ("/apis/a.example/v1", Some(("a.example", "v1"))),
            ("/apis/a.example/v1/", Some(("a.example", "v1"))),
            ("/openapi/v3/apis/a.example/v1", Some(("a.example", "v1"))),
            ("/apis/a.example", None),
            ("/apis/a.example/", None),
            ("/apis/a.example/v1/things", None),
            ("/api/v1", None),
            ("/apis", None),
            ("/openapi/v3", None),
        ];
        for (path, expected) in table {
            assert_eq!(group_version(path), expected, "{path}");
        }
    }
}
