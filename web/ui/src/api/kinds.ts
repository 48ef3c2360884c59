// The kinds that the dashboard lists. A new one is a line here.

export interface Kind {
  /** In the address: /workloads/<plural>. */
  plural: string;
  kind: string;
  title: string;
  /** API path before the namespace. */
  base: string;
  namespaced: boolean;
}

function core(plural: string, kind: string, title: string): Kind {
  return { plural, kind, title, base: "/api/v1", namespaced: true };
}

function of(group: string, plural: string, kind: string, title: string): Kind {
  return { plural, kind, title, base: `/apis/${group}`, namespaced: true };
}

export const PODS = core("pods", "Pod", "Pods");
export const DEPLOYMENTS = of("apps/v1", "deployments", "Deployment", "Deployments");
export const EVENTS = core("events", "Event", "Events");
export const AUTOSCALERS = of("autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", "Autoscalers");
export const NODES: Kind = { ...core("nodes", "Node", "Nodes"), namespaced: false };
export const NAMESPACES: Kind = { ...core("namespaces", "Namespace", "Namespaces"), namespaced: false };

/** The tabs of the page Workloads, in order. */
export const WORKLOADS: Kind[] = [
  PODS,
  DEPLOYMENTS,
  of("apps/v1", "statefulsets", "StatefulSet", "StatefulSets"),
  of("apps/v1", "replicasets", "ReplicaSet", "ReplicaSets"),
  of("apps/v1", "daemonsets", "DaemonSet", "DaemonSets"),
  core("services", "Service", "Services"),
  core("configmaps", "ConfigMap", "ConfigMaps"),
  EVENTS,
];

export function workload(plural: string): Kind | undefined {
  return WORKLOADS.find((kind) => kind.plural === plural);
}

export interface ListOptions {
  namespace?: string;
  labels?: string;
  fields?: string;
}

/** The path of a list, with its selectors. */
export function listPath(kind: Kind, options: ListOptions = {}): string {
  const inside = kind.namespaced && options.namespace ? `/namespaces/${encodeURIComponent(options.namespace)}` : "";
  const query = new URLSearchParams();
  if (options.labels) query.set("labelSelector", options.labels);
  if (options.fields) query.set("fieldSelector", options.fields);
  const search = query.toString();
  return `${kind.base}${inside}/${kind.plural}${search ? `?${search}` : ""}`;
}

/** The path of one object. */
export function objectPath(kind: Kind, namespace: string, name: string): string {
  return `${listPath(kind, { namespace })}/${encodeURIComponent(name)}`;
}
