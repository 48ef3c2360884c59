// Search, counts and live tail of logs. The shapes are those of logging/src/wire.rs.

import { API, postJson } from "./http";

export interface LogRecord {
  time: string;
  namespace: string;
  pod: string;
  container: string;
  node: string;
  stream: string;
  level: string;
  body: string;
  labels?: Record<string, string>;
  id: string;
}

export interface NodeError {
  node: string;
  error: string;
}

interface Answer {
  partial: NodeError[];
  restricted: boolean;
  scanned: number;
  took_ms: number;
}

export interface SearchAnswer extends Answer {
  records: LogRecord[];
  cursor?: string;
}

export interface Bucket {
  time: string;
  count: number;
  by_level: Record<string, number>;
}

export interface HistogramAnswer extends Answer {
  buckets: Bucket[];
  step_ns: number;
}

export interface FacetValue {
  value: string;
  count: number;
}

export interface FacetsAnswer extends Answer {
  facets: Record<string, FacetValue[]>;
  count: number;
}

export interface LogQuestion {
  query: string;
  since?: string;
  until?: string;
  namespace?: string;
  limit?: number;
  cursor?: string;
}

export type TailLine = LogRecord | { dropped: number; node: string } | { partial: NodeError };

const PREFIX = `${API}/tiphys/v1/logs`;

export function search(question: LogQuestion, signal?: AbortSignal): Promise<SearchAnswer> {
  return postJson(`${PREFIX}/search`, question, signal);
}

export function histogram(question: LogQuestion & { buckets: number }, signal?: AbortSignal): Promise<HistogramAnswer> {
  return postJson(`${PREFIX}/histogram`, question, signal);
}

export function facets(question: LogQuestion, signal?: AbortSignal): Promise<FacetsAnswer> {
  return postJson(`${PREFIX}/facets`, question, signal);
}

export function tailPath(query: string, namespace: string): string {
  const parameters = new URLSearchParams({ query });
  if (namespace) parameters.set("namespace", namespace);
  return `${PREFIX}/tail?${parameters}`;
}
