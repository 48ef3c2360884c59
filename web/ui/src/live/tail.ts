// The live tail: records into a ring, shown once a frame.
//
//   connect -> newest records by a search -> what came by the connection since
//
// The search fills the list at the start and the gap after a broken connection;
// a record that comes by both ways is taken once.

import type { LogRecord, NodeError, TailLine } from "../api/logs";
import { search, tailPath } from "../api/logs";
import { ApiError } from "../api/http";
import { oncePerFrame } from "./frame";
import { Ring } from "./ring";
import { Backoff, pause, readLines } from "./stream";

export const TAIL_ROOM = 50_000;
/** So much of the past is shown when the tail begins. */
const BEFORE = { since: "15m", limit: 100 };
/** A gap is filled up to so many records. */
const GAP = 2000;

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

/** What is said of a node begins so while it is lost, and so when it is back. */
const LOST = "can't be followed";
const BACK = "is back";
/** So many notices are kept, the newest. */
const NOTICES = 100;

/** The notices after another one: that a node is lost holds until it is back, what was lost of its lines stays said. */
function noticed(before: NodeError[], next: NodeError): NodeError[] {
  const isLost = (known: NodeError) => known.node === next.node && known.error.startsWith(LOST);
  const isSame = (known: NodeError) => known.node === next.node && known.error === next.error;
  const isOfPlace = next.error.startsWith(LOST) || next.error.startsWith(BACK);
  const others = before.filter((known) => !isSame(known) && !(isOfPlace && isLost(known)));
  return next.error.startsWith(BACK) ? others : [...others, next].slice(-NOTICES);
}

const EMPTY: TailSnapshot = { state: "connecting", error: undefined, first: 0, next: 0, dropped: 0, partial: [] };

export class Tail {
  readonly ring = new Ring<LogRecord>(TAIL_ROOM);
  private snapshot = EMPTY;
  private now: Omit<TailSnapshot, "first" | "next"> = EMPTY;
  /** What came while the search was under way. */
  private held: LogRecord[] | undefined;
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
      this.now = { ...this.now, partial: noticed(this.now.partial, line.partial) };
    } else if (this.held) this.held.push(line);
    else this.ring.push(line);
    this.frame.schedule();
  }

  /** Puts the newest of what was written before the connection in front of what came by it. */
  private async catchUp(query: string, namespace: string, signal: AbortSignal): Promise<void> {
    const last = this.ring.get(this.ring.next - 1);
    const known = new Set(Array.from({ length: Math.min(this.ring.length, GAP) }, (_, at) => this.ring.get(this.ring.next - 1 - at)?.id));
    const asked = { query, ...(namespace ? { namespace } : {}), ...(last ? { since: last.time, limit: GAP } : BEFORE) };
    const before = await search(asked, signal).then((answer) => answer.records.toReversed()).catch(() => []);
    const held = this.held ?? [];
    this.held = undefined;
    if (signal.aborted) return;
    for (const record of [...before, ...held]) {
      if (!known.has(record.id)) this.ring.push(record);
      known.add(record.id);
    }
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
          this.held = [];
          void this.catchUp(query, namespace, signal);
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
