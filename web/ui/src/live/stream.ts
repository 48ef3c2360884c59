// A long answer read line by line: each line is one JSON value.

import { request, unreachable } from "../api/http";
import { LineSplitter } from "./ndjson";

/** Reads to the end; `opened` is called when the server has answered. */
export async function readLines(
  path: string,
  accept: string,
  signal: AbortSignal,
  onLine: (value: unknown) => void,
  opened?: () => void,
): Promise<void> {
  const response = await request(path, { headers: { accept }, signal });
  opened?.();
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  const splitter = new LineSplitter();
  for (;;) {
    const { done, value } = await reader.read().catch((error: unknown) => {
      throw signal.aborted ? error : unreachable();
    });
    const lines = done ? splitter.finish() : splitter.push(value);
    for (const line of lines) onLine(JSON.parse(line));
    if (done) return;
  }
}

/** Waits, or returns at once when the signal is given. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}

/** Doubling waits with some chance, so that many tabs do not come back at once. */
export class Backoff {
  private next = 500;

  take(): number {
    const wait = this.next * (0.75 + Math.random() / 2);
    this.next = Math.min(this.next * 2, 15_000);
    return wait;
  }

  reset(): void {
    this.next = 500;
  }
}
