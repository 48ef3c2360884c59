// Levels from the gravest to the least, with their colours.

export const LEVELS: [string, string][] = [
  ["fatal", "var(--series-4)"],
  ["error", "var(--bad)"],
  ["warn", "var(--warn)"],
  ["info", "var(--accent)"],
  ["debug", "var(--calm)"],
  ["trace", "var(--faint)"],
  ["unknown", "var(--faint)"],
];

const COLOURS = new Map(LEVELS);

export function colourOf(level: string): string {
  return COLOURS.get(level) ?? "var(--faint)";
}
