// What is broken, read from the rows that kubectl prints.

import { cell, type ColumnDefinition, type Row } from "../../api/table";
import { durationIn, MINUTE, span } from "../../format/time";

export interface Trouble {
  kind: string;
  name: string;
  what: string;
  path: string;
}

interface List {
  items: Row[];
  head: ColumnDefinition[] | undefined;
}

/** `1/2` is behind, `2/2` isn't. */
export function behind(ratio: string): boolean {
  const match = /^(\d+)\/(\d+)$/.exec(ratio);
  return match !== null && Number(match[1]) < Number(match[2]);
}

function troubles(list: List, kind: string, base: string, what: (read: (name: string) => string, received: number) => string): Trouble[] {
  const head = list.head ?? [];
  return list.items.flatMap((row) => {
    const wrong = what((name) => cell(head, row, name), row.received);
    const { name, namespace } = row.object.metadata;
    const path = `${base}/${namespace ? `${namespace}/` : ""}${name}`;
    return wrong ? [{ kind, name: namespace ? `${namespace}/${name}` : name, what: wrong, path }] : [];
  });
}

/** A restart is news for this long. */
const NEWS = 3 * MINUTE;

export function brokenPods(list: List, now: number): Trouble[] {
  return troubles(list, "Pod", "/workloads/pods", (read, received) => {
    const status = read("Status");
    if (["Completed", "Succeeded"].includes(status)) return "";
    if (status !== "Running") return status;
    if (behind(read("Ready"))) return `${read("Ready")} ready`;
    // `3 (20s ago)`, when the row came.
    const restarts = read("Restarts");
    const ago = (durationIn(restarts) ?? Number.POSITIVE_INFINITY) + now - received;
    return ago < NEWS ? `restarted ${span(ago)} ago (${Number.parseInt(restarts, 10)}×)` : "";
  });
}

export function brokenNodes(list: List): Trouble[] {
  return troubles(list, "Node", "/nodes", (read) => (/^Ready\b/.test(read("Status")) ? "" : read("Status")));
}

export function brokenDeployments(list: List): Trouble[] {
  return troubles(list, "Deployment", "/workloads/deployments", (read) => (behind(read("Ready")) ? `${read("Ready")} ready` : ""));
}
