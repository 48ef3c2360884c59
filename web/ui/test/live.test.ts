import { expect, test, vi } from "vitest";
import type { LogRecord } from "../src/api/logs";
import { LineSplitter } from "../src/live/ndjson";
import { Ring } from "../src/live/ring";
import { Tail } from "../src/live/tail";

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

test("the tail begins with the past, in order, and takes what comes by both ways once", async () => {
  const record = (id: string) => ({ id, time: `1970-01-01T00:00:0${id}Z`, body: id }) as LogRecord;
  const asked: unknown[] = [];
  let server: ReadableStreamDefaultController<Uint8Array> | undefined;
  const connection = new ReadableStream<Uint8Array>({ start: (controller) => void (server = controller) });
  const write = (line: unknown) => server?.enqueue(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
  vi.stubGlobal("document", { hidden: true });
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    if (path.includes("/tail")) return new Response(connection);
    asked.push(JSON.parse(String(init.body)));
    // The connection is quicker than the search: 3 comes by both.
    write(record("3"));
    write(record("4"));
    await vi.waitFor(() => expect(server?.desiredSize).toBe(1));
    return Response.json({ records: ["3", "2", "1"].map(record) });
  });
  const tail = new Tail();
  const abort = new AbortController();
  const run = tail.run("x", "", abort.signal);
  await vi.waitFor(() => expect(tail.ring.length).toBe(4));
  write(record("5"));
  await vi.waitFor(() => expect(tail.ring.length).toBe(5));
  expect([0, 1, 2, 3, 4].map((at) => tail.ring.get(at)?.id)).toEqual(["1", "2", "3", "4", "5"]);
  expect(asked).toEqual([{ query: "x", since: "15m", limit: 100 }]);
  abort.abort();
  server?.close();
  await run;
  vi.unstubAllGlobals();
});

test("a node that is back is no longer named as lost, and the lines that it lost still are", () => {
  const frames: FrameRequestCallback[] = [];
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("requestAnimationFrame", (frame: FrameRequestCallback) => frames.push(frame));
  vi.stubGlobal("cancelAnimationFrame", () => undefined);
  const tail = new Tail();
  const told = (node: string, ...errors: string[]) => {
    for (const error of errors) tail.take({ partial: { node, error } });
    for (const frame of frames.splice(0)) frame(0);
    return tail.read().partial.map((known) => `${known.node} ${known.error}`);
  };
  expect(told("n2", "can't be followed: gone")).toEqual(["n2 can't be followed: gone"]);
  told("n1", "lines from 1 to 2 were too many to show", "can't be followed: gone", "can't be followed: refused");
  const kept = ["n2 can't be followed: gone", "n1 lines from 1 to 2 were too many to show"];
  expect(told("n1")).toEqual([...kept, "n1 can't be followed: refused"]);
  expect(told("n1", "is back; its lines since it was lost follow")).toEqual(kept);
  vi.unstubAllGlobals();
});
