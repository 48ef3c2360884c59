// Rows of (time, name, value) as lines on one axis of time.

import type { Cell } from "../api/sql";

export interface Series {
  times: number[];
  names: string[];
  /** undefined: this line has no point here; null: the line is broken here. */
  values: (number | null | undefined)[][];
}

/** Lines whose points are further apart than `gapMs` are broken; at most `most` lines, the busiest. */
export function pivot(rows: [Cell, Cell, Cell][], gapMs: number, most = 8): Series {
  const lines = new Map<string, Map<number, number>>();
  for (const [time, name, value] of rows) {
    const at = typeof time === "number" ? time : Date.parse(withZone(String(time)));
    if (Number.isNaN(at) || typeof value !== "number") continue;
    const line = lines.get(String(name)) ?? new Map<number, number>();
    line.set(at, value);
    lines.set(String(name), line);
  }
  const sum = (line: Map<number, number>) => [...line.values()].reduce((total, value) => total + value, 0);
  const chosen = [...lines].sort((a, b) => sum(b[1]) - sum(a[1])).slice(0, most).sort((a, b) => a[0].localeCompare(b[0]));
  const times = [...new Set(chosen.flatMap(([, line]) => [...line.keys()]))].sort((a, b) => a - b);
  const values = chosen.map(([, line]) => {
    let last = Number.NEGATIVE_INFINITY;
    return times.map((time) => {
      const value = line.get(time);
      if (value !== undefined) last = time;
      return value ?? (time - last > gapMs ? null : undefined);
    });
  });
  return { times, names: chosen.map(([name]) => name), values };
}

/** The server's instants are UTC, whether they say so or not. */
export function withZone(time: string): string {
  return /(Z|[+-]\d\d:?\d\d)$/.test(time) ? time : `${time.replace(" ", "T")}Z`;
}
