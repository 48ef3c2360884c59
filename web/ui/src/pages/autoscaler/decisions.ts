// Decisions as rows: those that say the same in a row become one.

import type { Cell } from "../../api/sql";

export interface Decision {
  time: string;
  namespace: string;
  autoscaler: string;
  target: string;
  current: number;
  desired: number;
  proposed: number;
  stabilized: number;
  limitedBy: string;
  reason: string;
  metrics: Reading[];
  sampleAge: number;
  scaled: boolean;
}

export interface Reading {
  name: string;
  targetType?: string;
  current?: number | null;
  target?: number;
  ratio?: number | null;
  proposal?: number | null;
  podsCounted?: number;
  podsMissing?: number;
  error?: string;
}

export interface Group extends Decision {
  count: number;
}

export function decisionOf(row: Record<string, Cell>): Decision {
  const text = (name: string) => String(row[name] ?? "");
  const number = (name: string) => Number(row[name] ?? 0);
  let metrics: Reading[] = [];
  try {
    metrics = JSON.parse(text("metrics")) as Reading[];
  } catch {
    // Without readings the sentence still says why.
  }
  return {
    time: text("time"), namespace: text("namespace"), autoscaler: text("autoscaler"), target: text("target"),
    current: number("current_replicas"), desired: number("desired_replicas"), proposed: number("proposed_replicas"),
    stabilized: number("stabilized_replicas"), limitedBy: text("limited_by"), reason: text("reason"), metrics,
    sampleAge: number("sample_age_ms"), scaled: row.scaled === true,
  };
}

/** Newest first in, newest first out; of a run that changes nothing the newest stays, with its count. */
export function grouped(decisions: Decision[]): Group[] {
  const groups: Group[] = [];
  const lastOf = new Map<string, Group>();
  for (const decision of decisions) {
    const key = `${decision.namespace}/${decision.autoscaler}`;
    const last = lastOf.get(key);
    const same = last && !last.scaled && !decision.scaled && last.current === decision.current
      && last.desired === decision.desired && last.limitedBy === decision.limitedBy;
    if (same) last.count += 1;
    else {
      const group = { ...decision, count: 1 };
      groups.push(group);
      lastOf.set(key, group);
    }
  }
  return groups;
}
