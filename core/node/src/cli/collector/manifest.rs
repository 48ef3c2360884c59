//! `tiphys collector manifest`: the DaemonSet of the collector for a cluster of another vendor.
//!
//! It is the manifest that the server applies in its own cluster, so that there is one list of
//! what a collector may and mounts. The chart in deploy/chart makes of it what is made of it here, which a
//! scenario compares. What differs elsewhere is changed here: names, where the image
//! comes from, and that of the nodes' files only the collector's own folder is written to. A
//! server makes Namespace and Secret itself; here they come along, and so does what some vendors
//! ask for before a Pod may have the class of a node's own.

use std::process::ExitCode;

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use tiphys_api::names::{COLLECTOR_APP, SYSTEM_NAMESPACE};

use crate::{addons, cli::image, failure::Outcome, output};

/// Where the container sees the folder that it keeps its index in.
const DATA_DIR: &str = "/var/lib/tiphys";

/// The class that the collector's Pods have.
const NODE_CRITICAL: &str = "system-node-critical";

/// Stands here, since the command is put together by hand.
pub const ABOUT: &str = "Print the log collector's manifest for any Kubernetes, as kubectl apply takes it";

#[derive(Debug, Clone, clap::Args)]
pub struct Manifest {
    /// The image, as the nodes have it or can pull it: see tiphys image export
    #[arg(long, default_value = image::OWN)]
    image: String,
    /// The namespace that it goes into, which is made
    #[arg(short, long, default_value = SYSTEM_NAMESPACE)]
    namespace: String,
    /// What the DaemonSet is called, and what belongs to it
    #[arg(long, default_value = COLLECTOR_APP)]
    name: String,
    /// Where each node keeps its logs' index
    #[arg(long, value_name = "PATH", default_value = "/var/lib/tiphys-collector", value_parser = absolute)]
    state_dir: String,
}

fn absolute(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("a path that begins with / is wanted".to_owned()),
    }
}

impl Manifest {
    pub fn run(self) -> Outcome<ExitCode> {
        output::data(&self.text(&addons::new_token())?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self, token: &str) -> anyhow::Result<String> {
        let mut text = format!(
            "# The log collector of Tiphys {}. Its Secret is in here, new each time that this is printed.\n",
            env!("CARGO_PKG_VERSION")
        );
        for (at, object) in self.objects(token)?.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "---\n" });
            let object = serde_saphyr::to_string(object).context("the manifest can't be written as YAML")?;
            text.push_str(object.trim_end());
            text.push('\n');
        }
        Ok(text)
    }

    fn objects(&self, token: &str) -> anyhow::Result<Vec<Value>> {
        let mut objects = vec![self.namespace(), self.quota(), self.secret(token)];
        let names = [(COLLECTOR_APP, self.name.as_str()), (SYSTEM_NAMESPACE, self.namespace.as_str())];
        for object in addons::collector()? {
            let mut object = serde_json::to_value(object)?;
            rename(&mut object, &names);
            if object["kind"] == "DaemonSet" {
                self.adapt(&mut object["spec"]["template"], token)?;
            }
            objects.push(object);
        }
        Ok(objects)
    }

    /// Pods that mount folders of the node are refused where Pod Security is stricter.
    fn namespace(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": self.namespace,
                "labels": { "pod-security.kubernetes.io/enforce": "privileged" },
            },
        })
    }

    /// GKE refuses Pods of the class that stay on a full node, but where a quota counts them.
    fn quota(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": { "name": self.name, "namespace": self.namespace },
            "spec": {
                "hard": { "pods": "1G" },
                "scopeSelector": {
                    "matchExpressions": [
                        { "scopeName": "PriorityClass", "operator": "In", "values": [NODE_CRITICAL] },
                    ],
                },
            },
        })
    }

    fn secret(&self, token: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": self.name, "namespace": self.namespace },
            "stringData": { (addons::COLLECTOR_TOKEN): token },
        })
    }

    /// The template of the Pods, for nodes that are not Tiphys' own.
    fn adapt(&self, template: &mut Value, token: &str) -> anyhow::Result<()> {
        // Another token makes other Pods: they read it when they start.
        let digest = digest(&SHA256, token.as_bytes());
        let known_by: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        template["metadata"]["annotations"] = json!({ "tiphys.io/token-sha256": known_by });
        let pod = &mut template["spec"];
        list(&mut pod["volumes"])?.push(json!({
            "name": "state",
            "hostPath": { "path": self.state_dir, "type": "DirectoryOrCreate" },
        }));
        let container = &mut pod["containers"][0];
        container["image"] = json!(self.image);
        container["imagePullPolicy"] = json!("IfNotPresent");
        // The files of Tiphys' own parts. Elsewhere kubelet and runtime write to the journal.
        let arguments = list(&mut container["args"])?;
        arguments.retain(|argument| !argument.as_str().unwrap_or_default().starts_with("--system-log="));
        arguments.push(json!(format!("--data-dir={DATA_DIR}")));
        let mounts = list(&mut container["volumeMounts"])?;
        for mount in mounts.iter_mut() {
            mount["readOnly"] = json!(true);
        }
        mounts.push(json!({ "name": "state", "mountPath": DATA_DIR }));
        Ok(())
    }
}

fn list(value: &mut Value) -> anyhow::Result<&mut Vec<Value>> {
    value.as_array_mut().context("a list is missing in the collector's manifest")
}

/// Every string that is one of the old names becomes the new one: names, labels and what refers to them.
fn rename(value: &mut Value, names: &[(&str, &str)]) {
    match value {
        Value::String(text) => {
            let renamed = names.iter().find(|(old, _)| *old == text.as_str());
            if let Some((_, new)) = renamed {
                *text = (*new).to_owned();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename(value, names)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            image: "registry.example.org/tiphys:1".into(),
            namespace: "logging".into(),
            name: "gatherer".into(),
            state_dir: "/srv/state".into(),
        }
    }

    fn read(text: &str) -> Vec<Value> {
        let documents = text.split("\n---\n");
        documents.map(|text| serde_saphyr::from_str(text).expect("YAML")).collect()
    }

    fn of_kind(objects: &[Value], kind: &str) -> Value {
        objects.iter().find(|object| object["kind"] == kind).expect("such an object").clone()
    }

    #[test]
    fn what_is_printed_is_read_back_as_it_was_meant() {
        let printed = manifest().text("0123e4").expect("a manifest");
        assert_eq!(read(&printed), manifest().objects("0123e4").expect("objects"));
        let kinds: Vec<_> = read(&printed).iter().map(|object| object["kind"].clone()).collect();
        let expected = [
            "Namespace",
            "ResourceQuota",
            "Secret",
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Service",
            "DaemonSet",
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn everything_is_called_and_refers_as_asked_for() {
        let text = manifest().text("t").expect("a manifest");
        for former in [COLLECTOR_APP, SYSTEM_NAMESPACE] {
            let left: Vec<_> = text.lines().filter(|line| line.ends_with(former)).collect();
            assert!(left.is_empty(), "{left:?}");
        }
        let objects = read(&text);
        let binding = of_kind(&objects, "ClusterRoleBinding");
        assert_eq!(binding["roleRef"]["name"], of_kind(&objects, "ClusterRole")["metadata"]["name"]);
        let account = json!({ "kind": "ServiceAccount", "name": "gatherer", "namespace": "logging" });
        assert_eq!(binding["subjects"], json!([account]));
        let daemons = of_kind(&objects, "DaemonSet");
        let labels = &daemons["spec"]["template"]["metadata"]["labels"];
        assert_eq!(labels, &daemons["spec"]["selector"]["matchLabels"]);
        assert_eq!(labels, &of_kind(&objects, "Service")["spec"]["selector"]);
        assert_eq!(labels, &json!({ "app": "gatherer" }));
        let variables = &daemons["spec"]["template"]["spec"]["containers"][0]["env"];
        let secrets: Vec<_> = variables
            .as_array()
            .expect("variables")
            .iter()
            .map(|variable| &variable["valueFrom"]["secretKeyRef"])
            .filter(|reference| !reference.is_null())
            .collect();
        assert_eq!(secrets, [&json!({ "name": "gatherer", "key": "token" })]);
        assert_eq!(of_kind(&objects, "Secret")["stringData"], json!({ "token": "t" }));
    }

    #[test]
    fn of_the_node_only_the_own_folder_is_written_to() {
        let objects = manifest().objects("t").expect("objects");
        let pod = &of_kind(&objects, "DaemonSet")["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(container["image"], "registry.example.org/tiphys:1");
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
        let mounts = container["volumeMounts"].as_array().expect("mounts");
        let written: Vec<_> = mounts.iter().filter(|mount| mount["readOnly"] != true).collect();
        assert_eq!(written, [&json!({ "name": "state", "mountPath": DATA_DIR })]);
        let volumes = pod["volumes"].as_array().expect("volumes").iter();
        let state: Vec<_> = volumes.filter(|volume| volume["name"] == "state").collect();
        assert_eq!(state.len(), 1);
        assert_eq!(state[0]["hostPath"]["path"], "/srv/state");
        let arguments = container["args"].as_array().expect("arguments");
        assert!(arguments.contains(&json!(format!("--data-dir={DATA_DIR}"))), "{arguments:?}");
        // The files that Tiphys' own nodes have are nowhere else.
        let of_tiphys = arguments.iter().any(|argument| argument.to_string().contains("system-log"));
        assert!(!of_tiphys, "{arguments:?}");
    }

    #[test]
    fn a_full_node_keeps_it_and_a_quota_allows_that() {
        let objects = manifest().objects("t").expect("objects");
        let class = &of_kind(&objects, "DaemonSet")["spec"]["template"]["spec"]["priorityClassName"];
        assert_eq!(class, NODE_CRITICAL);
        let quota = of_kind(&objects, "ResourceQuota");
        assert_eq!(quota["metadata"], json!({ "name": "gatherer", "namespace": "logging" }));
        let selected = &quota["spec"]["scopeSelector"]["matchExpressions"][0];
        assert_eq!((&selected["scopeName"], &selected["values"][0]), (&json!("PriorityClass"), class));
    }

    #[test]
    fn another_token_makes_other_pods() {
        let template = |token: &str| {
            let objects = manifest().objects(token).expect("objects");
            of_kind(&objects, "DaemonSet")["spec"]["template"].clone()
        };
        assert_eq!(template("a"), template("a"));
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(template("abc")["metadata"]["annotations"]["tiphys.io/token-sha256"], of_abc);
        assert_ne!(template("a"), template("b"));
    }

    #[test]
    fn a_folder_of_nodes_has_a_whole_path() {
        assert_eq!(absolute("/srv"), Ok("/srv".to_owned()));
        assert!(absolute("srv").is_err() && absolute("").is_err());
    }
}
