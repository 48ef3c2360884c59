// Instants and spans as people read them; all functions are pure.

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const UNITS: Record<string, number> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY };

/** `90s`, `15m`, `6h`, `2d` in milliseconds; undefined when it is none. */
export function parseSpan(text: string): number | undefined {
  const match = /^(\d{1,6})([smhd])$/.exec(text.trim());
  const unit = match && UNITS[match[2] ?? ""];
  return match && unit ? Number(match[1]) * unit : undefined;
}

/** How long, in at most two units: `3d4h`, `12m`, `45s`, as kubectl does. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / SECOND));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return two(hours, "h", minutes % 60, "m");
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (days < 8) return two(days, "d", hours % 24, "h");
  if (days < 730) return `${days}d`;
  return `${Math.floor(days / 365)}y`;
}

/** The first duration in a text, as kubectl writes them: `3 (1m20s ago)` is 80,000. */
export function durationIn(text: string): number | undefined {
  const found = /\b(?:\d+[ydhms])+\b/.exec(text)?.[0];
  if (found === undefined) return undefined;
  const parts = [...found.matchAll(/(\d+)([ydhms])/g)];
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * (unit === "y" ? 365 * DAY : (UNITS[unit ?? ""] ?? 0)), 0);
}

/** A text whose durations were true `ms` ago: `3 (20s ago)` is `3 (80s ago)` a minute later. */
export function movedOn(text: string, ms: number): string {
  return text.replace(/\b(?:\d+[ydhms])+\b/g, (found) => span((durationIn(found) ?? 0) + ms));
}

function two(large: number, unit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${unit}` : `${large}${unit}${small}${smallUnit}`;
}

/** The time since an RFC 3339 instant. */
export function age(instant: string | null | undefined, now: number): string {
  const then = Date.parse(instant ?? "");
  return Number.isNaN(then) ? "–" : span(now - then);
}

function pad(value: number, width = 2): string {
  return String(value).padStart(width, "0");
}

/** The time of day in the browser's zone: `09:41:07`. */
export function clock(ms: number): string {
  const at = new Date(ms);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
}

export function clockMillis(ms: number): string {
  return `${clock(ms)}.${pad(new Date(ms).getMilliseconds(), 3)}`;
}

/** Day and time: `Nov 23 09:41:07`. */
export function dayClock(ms: number): string {
  const at = new Date(ms);
  return `${at.toLocaleString("en", { month: "short" })} ${at.getDate()} ${clock(ms)}`;
}

/** A width between points that shows `windowMs` in about `points`, on round numbers. */
export function stepFor(windowMs: number, points: number): number {
  const wanted = windowMs / points;
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400];
  return (steps.find((step) => step * SECOND >= wanted) ?? 86_400) * SECOND;
}
