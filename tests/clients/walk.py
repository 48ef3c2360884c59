"""The `kubernetes` client of PyPI, unmodified: objects are made, read, changed, listed
in pages, watched, entered and deleted.

The scenario e2e_the_python_client_walks runs it with KUBECONFIG and an image. Each
assertion says what a program that uses this client relies on; the last line is `done`.
"""

import sys
import threading

from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream
from kubernetes.utils import create_from_dict

IMAGE = sys.argv[1]
NAMESPACE = "python"
core = apps = None


def refused(status, call):
    """The body of the error that a call must end with."""
    try:
        call()
    except ApiException as error:
        assert error.status == status, (error.status, error.body)
        return error.body
    raise AssertionError(f"nobody refused it with {status}")


def until(wanted, call, *arguments, **options):
    """Watches a list until an object of it is as wanted; two minutes at most."""
    watcher = watch.Watch()
    for event in watcher.stream(call, *arguments, timeout_seconds=120, **options):
        if wanted(event["object"]):
            watcher.stop()
            return
    raise AssertionError(f"{call.__name__} never showed what was wanted")


def pod(name, *command, **labels):
    container = client.V1Container(name="main", image=IMAGE, command=list(command))
    return client.V1Pod(
        metadata=client.V1ObjectMeta(name=name, labels=labels),
        spec=client.V1PodSpec(containers=[container], termination_grace_period_seconds=0),
    )


def objects():
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="settings"), data={"a": "1"})
    made = core.create_namespaced_config_map(NAMESPACE, body)
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo, made
    assert "already exists" in refused(409, lambda: core.create_namespaced_config_map(NAMESPACE, body))
    assert "not found" in refused(404, lambda: core.read_namespaced_config_map("other", NAMESPACE))

    patched = core.patch_namespaced_config_map("settings", NAMESPACE, {"data": {"a": None, "b": "2"}})
    assert patched.data == {"b": "2"}, patched.data
    operations = [{"op": "replace", "path": "/data/b", "value": "3"}]
    patched = core.patch_namespaced_config_map("settings", NAMESPACE, operations)
    assert patched.data == {"b": "3"}, patched.data
    # The first answer is stale by now.
    made.data = {"a": "4"}
    assert "has been modified" in refused(
        409, lambda: core.replace_namespaced_config_map("settings", NAMESPACE, made)
    )
    patched.data = {"a": "4"}
    assert core.replace_namespaced_config_map("settings", NAMESPACE, patched).data == {"a": "4"}

    secret = client.V1Secret(metadata=client.V1ObjectMeta(generate_name="s-"), string_data={"word": "tern"})
    assert core.create_namespaced_secret(NAMESPACE, secret).data == {"word": "dGVybg=="}


def pages():
    for number in range(5):
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"page-{number}", labels={"of": "book"}))
        core.create_namespaced_config_map(NAMESPACE, body)
    names, token = [], None
    while True:
        found = core.list_namespaced_config_map(NAMESPACE, label_selector="of=book", limit=2, _continue=token)
        assert len(found.items) <= 2
        names += [item.metadata.name for item in found.items]
        token = found.metadata._continue
        if not token:
            break
    assert names == [f"page-{number}" for number in range(5)], names
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="of=book")
    assert not core.list_namespaced_config_map(NAMESPACE, label_selector="of=book").items


def watched():
    version = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    events, watcher = [], watch.Watch()

    def follow():
        call = core.list_namespaced_config_map
        for event in watcher.stream(call, NAMESPACE, resource_version=version, timeout_seconds=120):
            events.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                watcher.stop()

    thread = threading.Thread(target=follow)
    thread.start()
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="seen"))
    core.create_namespaced_config_map(NAMESPACE, body)
    core.patch_namespaced_config_map("seen", NAMESPACE, {"data": {"a": "1"}})
    core.delete_namespaced_config_map("seen", NAMESPACE)
    thread.join()
    assert events == [("ADDED", "seen"), ("MODIFIED", "seen"), ("DELETED", "seen")], events


def entered():
    script = "echo out; echo err >&2; read line; echo got $line; exit 3"
    core.create_namespaced_pod(NAMESPACE, pod("entered", "sh", "-c", "echo begun; sleep 3600"))
    until(
        lambda found: found.status.phase == "Running",
        core.list_namespaced_pod, NAMESPACE, field_selector="metadata.name=entered",
    )
    word = stream(
        core.connect_get_namespaced_pod_exec, "entered", NAMESPACE,
        command=["echo", "hello"], stdout=True, stderr=True, stdin=False, tty=False,
    )
    assert word == "hello\n", word
    session = stream(
        core.connect_get_namespaced_pod_exec, "entered", NAMESPACE,
        command=["sh", "-c", script], stdout=True, stderr=True, stdin=True, tty=False, _preload_content=False,
    )
    session.write_stdin("a line\n")
    session.run_forever(timeout=120)
    said = (session.read_stdout(), session.read_stderr(), session.returncode)
    assert said == ("out\ngot a line\n", "err\n", 3), said
    logs = watch.Watch().stream(core.read_namespaced_pod_log, "entered", NAMESPACE, tail_lines=1)
    assert next(logs) == "begun"
    core.delete_namespaced_pod("entered", NAMESPACE)


def scaled():
    template = pod("template", "sleep", "3600", app="py")
    spec = client.V1DeploymentSpec(
        replicas=1,
        selector=client.V1LabelSelector(match_labels={"app": "py"}),
        template=client.V1PodTemplateSpec(
            metadata=client.V1ObjectMeta(labels={"app": "py"}), spec=template.spec
        ),
    )
    body = client.V1Deployment(metadata=client.V1ObjectMeta(name="py"), spec=spec)
    apps.create_namespaced_deployment(NAMESPACE, body)
    apps.patch_namespaced_deployment_scale("py", NAMESPACE, {"spec": {"replicas": 2}})
    assert apps.read_namespaced_deployment_scale("py", NAMESPACE).spec.replicas == 2
    until(lambda found: found.status.ready_replicas == 2, apps.list_namespaced_deployment, NAMESPACE)


def custom():
    """Kinds that the client has no class for."""
    api = dynamic.DynamicClient(client.ApiClient())
    names = {"kind": "Buoy", "plural": "buoys", "singular": "buoy"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "buoys.python.test.local"},
        "spec": {"group": "python.test.local", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    create_from_dict(client.ApiClient(), definition)

    def established(found):
        conditions = found.status.conditions or []
        return any(one.type == "Established" and one.status == "True" for one in conditions)

    definitions = client.ApiextensionsV1Api().list_custom_resource_definition
    until(established, definitions, field_selector="metadata.name=buoys.python.test.local")
    buoys = api.resources.get(api_version="python.test.local/v1", kind="Buoy")
    body = {"apiVersion": "python.test.local/v1", "kind": "Buoy", "metadata": {"name": "red"}, "depth": 7}
    assert buoys.create(body=body, namespace=NAMESPACE).depth == 7
    body["depth"] = 8
    applied = buoys.server_side_apply(
        body=body, name="red", namespace=NAMESPACE, field_manager="python", force_conflicts=True
    )
    assert applied.depth == 8
    objects = client.CustomObjectsApi()
    found = objects.list_namespaced_custom_object("python.test.local", "v1", NAMESPACE, "buoys")
    assert [item["metadata"]["name"] for item in found["items"]] == ["red"], found
    client.ApiextensionsV1Api().delete_custom_resource_definition("buoys.python.test.local")


config.load_kube_config()
core, apps = client.CoreV1Api(), client.AppsV1Api()
assert client.VersionApi().get_code().major == "1"
core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
for step in (objects, pages, watched, entered, scaled, custom):
    print(step.__name__, flush=True)
    step()
core.delete_namespace(NAMESPACE)
print("done")
