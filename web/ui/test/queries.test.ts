import { expect, test } from "vitest";
import { lineOf } from "../src/pages/logs/line";
import { decisionOf, grouped } from "../src/pages/autoscaler/decisions";
import { behind, brokenPods } from "../src/pages/home/trouble";
import { clause, clauses, fromLabels, withClause, withoutClause } from "../src/query/build";
import { matcher, pieces } from "../src/query/highlight";
import { pivot } from "../src/query/series";
import { readScope, windowOf, writeScope } from "../src/state/scope";

test("the scope goes into the address and back", () => {
  const search = "ns=shop&labels=app%3Dweb&range=1h&q=error";
  const scope = readScope(search);
  expect(scope).toEqual({ range: { last: "1h" }, namespace: "shop", labels: "app=web" });
  expect(readScope(writeScope(scope, search))).toEqual(scope);
  expect(writeScope(scope, search)).toContain("q=error");
  const fixed = readScope("from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00Z");
  expect(readScope(writeScope(fixed))).toEqual(fixed);
  expect(readScope("range=soon&from=x").range).toEqual({ last: "15m" });
  expect(windowOf({ last: "5m" }, 1_000_000)).toEqual({ from: 700_000, to: 1_000_000 });
});

test("clauses are put in and taken out", () => {
  expect(clause("pod", "web-1")).toBe("pod:web-1");
  expect(clause("pod", 'a "b')).toBe('pod:"a \\"b"');
  expect(clauses('a "b c" pod:(x OR y) /d e/')).toEqual(["a", '"b c"', "pod:(x OR y)", "/d e/"]);
  expect(withClause("", "pod:a")).toBe("pod:a");
  expect(withClause("x", "pod:a")).toBe("x pod:a");
  expect(withClause("x OR y", "pod:a")).toBe("(x OR y) pod:a");
  expect(withClause("pod:a", "pod:a")).toBe("pod:a");
  expect(withoutClause("x pod:a y", "pod:a")).toBe("x y");
  expect(fromLabels("app=web,tier!=db,beta")).toBe("app:web NOT tier:db beta:*");
});

test("what a query is about is marked", () => {
  const marked = (query: string, text: string) => pieces(text, matcher(query)).filter((piece) => piece.hit).map((piece) => piece.text);
  expect(marked("error", "Error: errors")).toEqual(["Error"]);
  expect(marked('"connection reset" time*', "connection reset by timeout")).toEqual(["connection reset", "timeout"]);
  expect(marked("/o+k/ AND NOT bad", "ook bad")).toEqual(["ook"]);
  expect(marked("(a OR b) -c pod:d", "a b c d")).toEqual(["a", "b"]);
  expect(marked("a.b", "axb a.b")).toEqual(["a.b"]);
  expect(marked("/(/", "(")).toEqual([]);
  expect(matcher("*")).toBeUndefined();
  expect(pieces("<script>", matcher("script")).map((piece) => piece.text).join("")).toBe("<script>");
});

test("rows become lines, broken where nothing was", () => {
  const series = pivot([["1970-01-01T00:00:00", "a", 1], ["1970-01-01T00:00:01Z", "b", 2], ["1970-01-01T00:01:40Z", "b", 3]], 5000);
  expect(series.times).toEqual([0, 1000, 100_000]);
  expect(series.names).toEqual(["a", "b"]);
  expect(series.values).toEqual([[1, undefined, null], [null, 2, 3]]);
});

test("a run of equal decisions is one row", () => {
  const row = (desired: number, scaled: boolean) => decisionOf({ time: "t", namespace: "n", autoscaler: "a", current_replicas: 1, desired_replicas: desired, scaled, metrics: "[]" });
  expect(grouped([row(1, false), row(1, false), row(3, true), row(1, false)]).map((group) => group.count)).toEqual([2, 1, 1]);
});

test("what is behind", () => {
  expect([behind("1/2"), behind("2/2"), behind("x")]).toEqual([true, false, false]);
});

test("a restart is news for some minutes, however old the row is", () => {
  const head = ["Name", "Ready", "Status", "Restarts"].map((name) => ({ name, type: "string", priority: 0 }));
  const row = { cells: ["web", "1/1", "Running", "2 (20s ago)"], object: { metadata: { name: "web", namespace: "shop" } }, received: 0 };
  const what = (now: number) => brokenPods({ head, items: [row] }, now).map((trouble) => trouble.what);
  expect(what(0)).toEqual(["restarted 20s ago (2×)"]);
  expect(what(60_000)).toEqual(["restarted 80s ago (2×)"]);
  expect(what(200_000)).toEqual([]);
});

test("a JSON line reads message first; what isn't one stays as it is", () => {
  const read = (body: string) => lineOf({ body, pod: "web-1" });
  expect(read('{"level":"info","msg":"served","status":200,"pod":"web-1","who":{"id":1}}')).toEqual({ message: "served", rest: 'status=200  who={"id":1}' });
  for (const body of ["plain", "{broken", '{"status":200}', "[1]", '{"msg":""}', "{}"]) expect(read(body)).toEqual({ message: body, rest: "" });
});
