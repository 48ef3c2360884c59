import { expect, test } from "vitest";
import { csv, literal, withRange } from "../src/api/sql";
import { printable } from "../src/format/printable";
import { byteRate, bytes, cores, parseQuantity, percent } from "../src/format/quantity";
import { durationIn, movedOn, parseSpan, span, stepFor } from "../src/format/time";

test("quantities of Kubernetes", () => {
  const cases: [string, number][] = [["250m", 0.25], ["64Mi", 67_108_864], ["1e3", 1000], ["2", 2], ["1k", 1000], ["1Gi", 2 ** 30]];
  for (const [text, value] of cases) expect(parseQuantity(text)).toBeCloseTo(value);
  expect(parseQuantity("many")).toBeNaN();
});

test("amounts as people read them", () => {
  expect([bytes(0), bytes(1536), bytes(5 * 2 ** 30), bytes(null)]).toEqual(["0 B", "1.5 KiB", "5 GiB", "–"]);
  expect([byteRate(12_000), cores(0.25), cores(1.5), percent(0.42)]).toEqual(["12 kB/s", "250m", "1.5", "42%"]);
});

test("spans", () => {
  expect([parseSpan("15m"), parseSpan("2d"), parseSpan("x")]).toEqual([900_000, 172_800_000, undefined]);
  expect([span(45_000), span(125_000), span(3 * 3_600_000 + 60_000), span(-5)]).toEqual(["45s", "2m5s", "3h1m", "0s"]);
  expect(stepFor(900_000, 150)).toBe(10_000);
});

test("durations in texts go on", () => {
  expect([durationIn("3 (1m20s ago)"), durationIn("2d4h"), durationIn("7"), durationIn("web-5d")]).toEqual([80_000, 187_200_000, undefined, 432_000_000]);
  expect([movedOn("3 (20s ago)", 60_000), movedOn("0", 60_000), movedOn("<unknown>", 60_000)]).toEqual(["3 (80s ago)", "0", "<unknown>"]);
});

test("control characters are shown, colours dropped", () => {
  expect(printable("\u001b[31mred\u001b[0m")).toBe("red");
  expect(printable("a\u001b]8;;http://x\u0007link\u0007")).toBe("alink\u2407");
  expect(printable("a\rb\u202ec")).toBe("a\u240db\ufffdc");
});

test("SQL: literals, the page's range, CSV", () => {
  expect(literal("it's")).toBe("'it''s'");
  expect(withRange("select '$from', $from -- $to", 0, 1)).toBe("select '$from', timestamp '1970-01-01T00:00:00.000Z' -- $to");
  const answer = { columns: [{ name: "a", type: "Utf8" }], rows: [["x,y"], ['q"'], ["=1+1"], [null], [-1]] };
  expect(csv(answer)).toBe('a\r\n"x,y"\r\n"q"""\r\n\'=1+1\r\n\r\n-1\r\n');
});
