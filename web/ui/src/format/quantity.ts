// Amounts as Kubernetes writes them, and as people read them.

const BINARY: Record<string, number> = { Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40, Pi: 2 ** 50, Ei: 2 ** 60 };
const DECIMAL: Record<string, number> = {
  n: 1e-9, u: 1e-6, m: 1e-3, "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18,
};

/** A resource quantity (`250m`, `64Mi`, `1e3`) as a number; NaN when it is none. */
export function parseQuantity(text: string | number | undefined): number {
  if (typeof text === "number") return text;
  const match = /^([+-]?[0-9.]+(?:[eE][+-]?\d+)?)([KMGTPE]i|[numkMGTPE]?)$/.exec((text ?? "").trim());
  if (!match) return Number.NaN;
  const suffix = match[2] ?? "";
  return Number(match[1]) * (BINARY[suffix] ?? DECIMAL[suffix] ?? Number.NaN);
}

function scaled(value: number, base: number, units: string[]): string {
  let size = Math.abs(value);
  let unit = 0;
  while (size >= base - 0.5 && unit < units.length - 1) {
    size /= base;
    unit += 1;
  }
  const digits = unit === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
  return `${value < 0 ? "-" : ""}${trimmed(size, digits)} ${units[unit]}`;
}

function trimmed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Bytes: `1.5 GiB`. */
export function bytes(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  return scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

/** Bytes a second: `12 kB/s`. */
export function byteRate(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  return scaled(value, 1000, ["B/s", "kB/s", "MB/s", "GB/s"]);
}

/** CPU cores: thousandths below one core. */
export function cores(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  if (value < 0.9995) return `${trimmed(value * 1000, value < 0.01 ? 1 : 0)}m`;
  return trimmed(value, 2);
}

/** A share: `42%`. */
export function percent(share: number | null | undefined): string {
  if (share == null || !Number.isFinite(share)) return "–";
  return `${trimmed(share * 100, share < 0.095 ? 1 : 0)}%`;
}

/** A count with short thousands: `1.2k`. */
export function count(value: number): string {
  if (value < 10_000) return value.toLocaleString("en");
  return scaled(value, 1000, ["", "k", "M", "G"]).replace(" ", "");
}
