//! kubectl's verbs over objects: discovery, apply in both ways, diff, edit, patch, wait,
//! what it prints, what it refuses, custom resources.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use anyhow::{Result, ensure};
use tiphys_tests::{eventually, run};

use crate::kubectl_every::{Session, text};

const LIMIT: Duration = Duration::from_secs(120);

pub fn discovery(session: &Session<'_>) -> Result<()> {
    session.says(&["api-resources"], &["deployments", "apps/v1", "CustomResourceDefinition", "hpa"])?;
    session.says(&["api-versions"], &["apps/v1", "apiextensions.k8s.io/v1", "\nv1\n"])?;
    let strategy = ["explain", "deployment.spec.strategy"];
    session.says(&strategy, &["rollingUpdate", "The deployment strategy to use"])?;
    session.says(&["explain", "pod.spec", "--recursive"], &["initContainers", "restartPolicy"])?;
    eventually(LIMIT, || session.says(&["get", "cs", "scheduler"], &["Healthy", "ok"]))?;
    session.says(&["version"], &["Client Version", "Server Version", "v1.37.0+tiphys"])?;
    let versions = session.json(&["version"])?;
    // What a client says of itself is its builder's.
    ensure!(versions["clientVersion"]["gitVersion"].is_string(), "{versions}");
    for part in ["major", "minor", "gitVersion", "gitCommit", "buildDate", "compiler", "platform"] {
        let is_said = versions["serverVersion"][part].as_str().is_some_and(|text| !text.is_empty());
        ensure!(is_said, "the server's {part} is missing: {versions}");
    }
    session.says(&["cluster-info"], &["Kubernetes control plane", "is running at"])
}

/// Labelled by its namespace, so that who drains a Node by label takes nobody else's Pods.
fn deployment(session: &Session<'_>, replicas: u32) -> String {
    let label = &session.namespace;
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, labels: {{app: {label}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {label}}}}}
  template:
    metadata: {{labels: {{app: {label}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: test.local/busybox:1
        command: [sh, -c, 'echo begun; sleep 3600']
        ports: [{{containerPort: 80}}]
"
    )
}

pub fn apply(session: &Session<'_>) -> Result<()> {
    let one = deployment(session, 1);
    session.ends(&["diff", "-f", "-"], &one, 1, &["+kind: Deployment"])?;
    session.manifest(&["apply"], &one, &["deployment.apps/web created"])?;
    session.manifest(&["apply"], &one, &["deployment.apps/web unchanged"])?;
    let other = deployment(session, 2).replace("busybox:1", "busybox:2");
    let differs =
        ["-  replicas: 1", "+  replicas: 2", "image: test.local/busybox:1", "image: test.local/busybox:2"];
    session.ends(&["diff", "-f", "-"], &other, 1, &differs)?;
    session.manifest(&["apply"], &deployment(session, 2), &["deployment.apps/web configured"])?;
    session.says(&["wait", "deployment/web", "--for=condition=Available", "--timeout=120s"], &["met"])?;
    session.says(&["rollout", "status", "deployment/web", "--timeout=120s"], &["successfully rolled out"])?;
    // It is ready before it has said anything.
    eventually(LIMIT, || session.says(&["logs", "deployment/web"], &["begun"]))?;
    session.says(&["apply", "view-last-applied", "deployment/web"], &["replicas: 2"])
}

pub fn server_side(session: &Session<'_>) -> Result<()> {
    let apply = ["apply", "--server-side"];
    let three = deployment(session, 3);
    let conflict = ["conflict with \"kubectl-client-side-apply\"", ".spec.replicas"];
    session.ends(&["apply", "--server-side", "-f", "-"], &three, 1, &conflict)?;
    let force = ["apply", "--server-side", "--force-conflicts"];
    session.manifest(&force, &three, &["deployment.apps/web serverside-applied"])?;
    let other = [&apply[..], &["--field-manager=other"]].concat();
    session.manifest(&other, &three, &["serverside-applied"])?;
    let refused = [&other[..], &["-f", "-"]].concat();
    session.ends(&refused, &deployment(session, 1), 1, &["conflict with \"kubectl\"", ".spec.replicas"])?;
    // Both own the field now: neither's absence takes it away.
    let without = three.replace("  replicas: 3\n", "");
    session.manifest(&other, &without, &["serverside-applied"])?;
    let replicas = session.ok(&["get", "deployment", "web", "-o", "jsonpath={.spec.replicas}"])?;
    ensure!(replicas == "3", "replicas are {replicas:?} after one of two managers gave them up");
    session.says(&["scale", "deployment/web", "--replicas=1", "--current-replicas=3"], &["scaled"])
}

pub fn edit_and_patch(session: &Session<'_>) -> Result<()> {
    session.says(&["create", "configmap", "settings", "--from-literal=a=1"], &["created"])?;
    let edit = |script: &str| -> Result<tiphys_tests::Output> {
        let editor = session.file("editor");
        fs::write(&editor, format!("#!/bin/sh\n{script}\n"))?;
        fs::set_permissions(&editor, fs::Permissions::from_mode(0o755))?;
        let mut command = session.command(&["edit", "configmap", "settings"]);
        run(command.env("KUBE_EDITOR", text(&editor)), "")
    };
    let edited = edit(r#"sed -i 's/a: "1"/a: "2"/' "$1""#)?.ok()?;
    ensure!(edited.contains("configmap/settings edited"), "{edited}");
    let same = edit("exit 0")?;
    ensure!(same.stderr.contains("no changes made") || same.stdout.contains("no changes made"), "{same:?}");

    let patch = |kind: &str, patch: &str, says: &str| {
        session.says(&["patch", "configmap", "settings", "--type", kind, "-p", patch], &[says])
    };
    patch("json", r#"[{"op": "add", "path": "/data/b", "value": "3"}]"#, "patched")?;
    patch("merge", r#"{"data": {"a": null, "c": "4"}}"#, "patched")?;
    patch("merge", r#"{"data": {"c": "4"}}"#, "patched (no change)")?;
    let data = session.ok(&["get", "configmap", "settings", "-o", "jsonpath={.data.a}{.data.b}{.data.c}"])?;
    ensure!(data == "34", "data is {data:?}");
    let env = r#"{"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "B"}]}]}}}}"#;
    session.says(&["patch", "deployment", "web", "-p", env], &["patched"])?;
    let image = "jsonpath={.spec.template.spec.containers[0].image}";
    let image = session.ok(&["get", "deployment", "web", "-o", image])?;
    ensure!(image == "test.local/busybox:1", "the merge by name lost the image: {image:?}");

    session.says(&["label", "configmap", "settings", "x=y"], &["labeled"])?;
    session.says(&["annotate", "configmap", "settings", "note=yes"], &["annotate"])?;
    let manifest = session.ok(&["get", "configmap", "settings", "-o", "yaml"])?;
    session.manifest(&["replace"], &manifest.replace("note: \"yes\"", "note: \"no\""), &["replaced"])?;
    // The manifest is of an older version by now.
    session.ends(&["replace", "-f", "-"], &manifest, 1, &["the object has been modified"])?;
    session.manifest(&["replace", "--force"], &manifest, &["replaced"])?;
    session.says(&["delete", "configmap", "settings"], &["deleted"])
}

pub fn output(session: &Session<'_>) -> Result<()> {
    let label = format!("app={}", session.namespace);
    session.says(&["get", "deployments", "-o", "wide"], &["UP-TO-DATE", "IMAGES", &label])?;
    session.says(&["get", "all"], &["deployment.apps/web", "replicaset.apps/web-"])?;
    let columns = "custom-columns=WHO:.metadata.name,HOW:.status.phase";
    session.says(&["get", "pods", "-o", columns, "--sort-by=.metadata.name"], &["WHO", "Running"])?;
    let among = format!("app in ({}, other)", session.namespace);
    let phase = ["get", "pods", "--field-selector=status.phase=Running", "-l", &among, "-o", "name"];
    session.says(&phase, &["pod/web-"])?;
    session.says(
        &["get", "pods", "--chunk-size=1", "-A", "-o", "name"],
        &["pod/web-", "pod/tiphys-collector"],
    )?;
    eventually(LIMIT, || session.says(&["get", "events"], &["Scheduled", "ScalingReplicaSet"]))?;
    let describe = ["describe", "deployment", "web"];
    eventually(LIMIT, || session.says(&describe, &["deployment-controller", "RollingUpdate"]))?;
    session.says(&["get", "--raw", "/readyz?verbose"], &["readyz check passed"])?;
    if session.minor >= 27 {
        let scale = ["get", "deployment", "web", "--subresource=scale"];
        session.says(&scale, &["NAME", "DESIRED", "AVAILABLE", "web"])?;
        let figure = "--for=jsonpath={.status.readyReplicas}=1";
        session.says(&["wait", "deployment/web", figure, "--timeout=120s"], &["met"])?;
    }
    Ok(())
}

pub fn refusals(session: &Session<'_>) -> Result<()> {
    let unknown = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\ndat: {a: b}\n";
    session.ends(&["apply", "-f", "-"], unknown, 1, &["unknown field \"dat\""])?;
    session.manifest(&["apply", "--validate=false"], unknown, &["configmap/odd created"])?;
    let invalid = "apiVersion: v1\nkind: Pod\nmetadata: {name: Odd}\nspec: {containers: []}\n";
    let causes = ["is invalid", "metadata.name: Invalid value: \"Odd\"", "spec.containers: Required value"];
    session.ends(&["create", "--validate=false", "-f", "-"], invalid, 1, &causes)?;
    session.ends(&["get", "nosuch"], "", 1, &["the server doesn't have a resource type \"nosuch\""])?;
    session.ends(
        &["get", "pod", "nosuch"],
        "",
        1,
        &["Error from server (NotFound): pods \"nosuch\" not found"],
    )?;
    session.ends(&["create", "configmap", "odd"], "", 1, &["already exists"])?;
    session.ends(&["get", "pods", "-l", "a in (b"], "", 1, &["unable to parse requirement"])?;
    session.says(&["delete", "configmap", "odd"], &["deleted"])?;
    session.says(&["delete", "configmap", "odd", "--ignore-not-found"], &[])
}

/// Its Scale has no selector. No other walk's kind has one of its names.
fn definition(group: &str, version: u32) -> String {
    format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: gulls{version}.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Gull{version}, plural: gulls{version}, singular: gull{version}, shortNames: [gl{version}]}}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {{scale: {{specReplicasPath: .spec.size, statusReplicasPath: .status.size}}}}
    additionalPrinterColumns: [{{name: Size, type: integer, jsonPath: .spec.size}}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What the gull is like.
            properties:
              size: {{type: integer, maximum: 5}}
              names: {{type: array, items: {{type: string}}}}
"
    )
}

pub fn custom(session: &Session<'_>) -> Result<()> {
    let version = session.minor;
    let (group, singular) = (format!("{}.test.local", session.namespace), format!("gull{version}"));
    let (plural, short) = (format!("gulls{version}"), format!("gl{version}"));
    let gull = |size: u32| {
        format!(
            "apiVersion: {group}/v1\nkind: Gull{version}\nmetadata: {{name: one}}\nspec: {{size: {size}}}\n"
        )
    };
    session.manifest(&["create"], &definition(&group, version), &["created"])?;
    let definition = format!("crd/{plural}.{group}");
    session.says(&["wait", &definition, "--for=condition=Established", "--timeout=120s"], &["met"])?;
    // What was read of the API before doesn't have it.
    fs::remove_dir_all(session.file("cache"))?;
    session.manifest(&["apply"], &gull(2), &["created"])?;
    session.says(&["get", &short], &["SIZE", "2"])?;
    session.says(&["explain", &format!("{plural}.spec")], &["What the gull is like.", "size"])?;
    session.ends(&["apply", "-f", "-"], &gull(9), 1, &["spec.size", "less than or equal to 5"])?;
    session.says(&["scale", &format!("{singular}/one"), "--replicas=3"], &["scaled"])?;
    let merge = r#"{"spec": {"size": 4}}"#;
    session.says(&["patch", &singular, "one", "--type=merge", "-p", merge], &["patched"])?;
    session.ends(&["patch", &singular, "one", "-p", "{}"], "", 1, &["merge-patch+json"])?;
    session.says(&["get", &singular, "one", "-o", "jsonpath={.spec.size}"], &["4"])?;
    session.says(&["delete", &plural, "--all"], &["deleted"])?;
    session.says(&["delete", &definition], &["deleted"])
}
