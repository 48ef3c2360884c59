// A record's text as one line: a JSON object's message comes first, its other
// fields behind it. What the row shows anyway (level, time, Pod) is left out;
// the record's details have all of it as it was written.

import type { LogRecord } from "../../api/logs";

const MESSAGE = ["msg", "message", "MESSAGE", "log", "event"];
const SHOWN = new Set(["level", "lvl", "severity", "time", "ts", "timestamp", "@timestamp"]);
const LONGEST = 16_384;

export interface Line {
  message: string;
  rest: string;
}

export function lineOf({ body, pod }: Pick<LogRecord, "body" | "pod">): Line {
  const fields = objectOf(body);
  const key = fields && MESSAGE.find((name) => typeof fields[name] === "string" && fields[name] !== "");
  if (!fields || !key) return { message: body, rest: "" };
  const others = Object.entries(fields).filter(([name, value]) => name !== key && !SHOWN.has(name) && value !== pod);
  return { message: String(fields[key]), rest: others.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`).join("  ") };
}

function objectOf(body: string): Record<string, unknown> | undefined {
  if (!body.startsWith("{") || body.length > LONGEST) return undefined;
  try {
    return JSON.parse(body) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
