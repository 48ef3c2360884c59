// The live tail: records into a ring, shown once a frame.

import type { LogRecord, NodeError, TailLine } from "../api/logs";
import { tailPath } from "../api/logs";
import { ApiError } from "../api/http";
import { oncePerFrame } from "./frame";
import { Ring } from "./ring";
import { Backoff, pause, readLines } from "./stream";

export const TAIL_ROOM = 50_000;

export interface TailSnapshot {
  state: "connecting" | "live" | "waiting" | "refused";
  error: Error | undefined;
  /** Numbers of the ring's oldest record, and of the one to come. */
  first: number;
  next: number;
  /** Records that the server passed over because this reader was slow. */
  dropped: number;
  partial: NodeError[];
}

const EMPTY: TailSnapshot = { state: "connecting", error: undefined, first: 0, next: 0, dropped: 0, partial: [] };

export class Tail {
  readonly ring = new Ring<LogRecord>(TAIL_ROOM);
  private snapshot = EMPTY;
  private now: Omit<TailSnapshot, "first" | "next"> = EMPTY;
  private readonly listeners = new Set<() => void>();
  private readonly frame = oncePerFrame(() => {
    this.snapshot = { ...this.now, first: this.ring.first, next: this.ring.next };
    for (const listener of this.listeners) listener();
  });

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly read = (): TailSnapshot => this.snapshot;

  take(line: TailLine): void {
    if ("dropped" in line) this.now = { ...this.now, dropped: this.now.dropped + line.dropped };
    else if ("partial" in line) {
      const others = this.now.partial.filter((known) => known.node !== line.partial.node);
      this.now = { ...this.now, partial: [...others, line.partial] };
    } else this.ring.push(line);
    this.frame.schedule();
  }

  async run(query: string, namespace: string, signal: AbortSignal): Promise<void> {
    const backoff = new Backoff();
    while (!signal.aborted) {
      try {
        const path = tailPath(query, namespace);
        await readLines(path, "application/x-ndjson", signal, (line) => this.take(line as TailLine), () => {
          backoff.reset();
          this.now = { ...this.now, partial: [] };
          this.set("live");
        });
        if (!signal.aborted) this.set("waiting");
      } catch (error) {
        if (signal.aborted) return;
        const refused = error instanceof ApiError && error.status >= 400 && error.status < 500;
        this.set(refused ? "refused" : "waiting", error as Error);
        if (refused) return;
      }
      await pause(backoff.take(), signal);
    }
  }

  private set(state: TailSnapshot["state"], error?: Error): void {
    this.now = { ...this.now, state, error };
    this.frame.schedule();
  }
}
