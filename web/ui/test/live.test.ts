import { expect, test } from "vitest";
import { LineSplitter } from "../src/live/ndjson";
import { Ring } from "../src/live/ring";

test("a ring keeps the newest and their numbers", () => {
  const ring = new Ring<string>(3);
  for (const value of ["a", "b", "c", "d"]) ring.push(value);
  expect([ring.first, ring.next, ring.length]).toEqual([1, 4, 3]);
  expect([ring.get(0), ring.get(1), ring.get(3), ring.get(4)]).toEqual([undefined, "b", "d", undefined]);
  ring.clear();
  ring.push("e");
  expect([ring.first, ring.get(4), ring.length]).toEqual([4, "e", 1]);
});

test("lines come whole out of pieces", () => {
  const lines = new LineSplitter();
  expect(lines.push('\n{"a":')).toEqual([]);
  expect(lines.push('1}\r\n{"b":2}\n\n{"c"')).toEqual(['{"a":1}', '{"b":2}']);
  expect(lines.push(":3}")).toEqual([]);
  expect(lines.finish()).toEqual(['{"c":3}']);
  expect(lines.finish()).toEqual([]);
});
