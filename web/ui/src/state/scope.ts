// What the whole dashboard looks at: a time range, a namespace, labels. It lives
// in the address, so that an address shows everyone the same.
//
//   ?range=1h&ns=shop&labels=app%3Dweb         the last hour
//   ?from=2026-01-02T03:04:05.000Z&to=...      between two instants

import { MINUTE, parseSpan } from "../format/time";

export type Range = { last: string } | { from: number; to: number };

export interface Scope {
  range: Range;
  /** Empty: all namespaces. */
  namespace: string;
  /** A label selector; empty: everything. */
  labels: string;
}

export const DEFAULT_RANGE = "15m";
export const RANGES = ["5m", "15m", "30m", "1h", "6h", "24h", "7d"];
export const EVERYTHING: Scope = { range: { last: DEFAULT_RANGE }, namespace: "", labels: "" };

const KEYS = ["range", "from", "to", "ns", "labels"];

/** Reads an address; what it can't mean is left out. */
export function readScope(search: string): Scope {
  const query = new URLSearchParams(search);
  const [from, to] = [Date.parse(query.get("from") ?? ""), Date.parse(query.get("to") ?? "")];
  const span = query.get("range") ?? "";
  const range: Range = from < to ? { from, to } : { last: parseSpan(span) ? span : DEFAULT_RANGE };
  return { range, namespace: query.get("ns") ?? "", labels: query.get("labels") ?? "" };
}

/** The address' query with this scope; other parameters stay as they are. */
export function writeScope(scope: Scope, search = ""): string {
  const query = new URLSearchParams(search);
  for (const key of KEYS) query.delete(key);
  if ("from" in scope.range) {
    query.set("from", new Date(scope.range.from).toISOString());
    query.set("to", new Date(scope.range.to).toISOString());
  } else if (scope.range.last !== DEFAULT_RANGE) query.set("range", scope.range.last);
  if (scope.namespace) query.set("ns", scope.namespace);
  if (scope.labels) query.set("labels", scope.labels);
  return query.toString();
}

export interface Window {
  from: number;
  to: number;
}

/** The range as two instants. */
export function windowOf(range: Range, now: number): Window {
  if ("from" in range) return range;
  return { from: now - (parseSpan(range.last) ?? 15 * MINUTE), to: now };
}

/** How often what is shown for a range should be asked again; false: it is the past. */
export function refreshEvery(range: Range): number | false {
  if ("from" in range) return false;
  return (parseSpan(range.last) ?? 0) <= 30 * MINUTE ? 5000 : 15_000;
}
