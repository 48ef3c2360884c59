// Live objects of one list, for React: changes come in one by one and go out
// once a frame as one new snapshot.

import { oncePerFrame } from "./frame";

/** loading: nothing yet; live: followed; waiting: the connection is being made again; refused: see the error. */
export type LiveState = "loading" | "live" | "waiting" | "refused";

export interface Snapshot<T, H> {
  state: LiveState;
  error: Error | undefined;
  head: H | undefined;
  items: T[];
  /** More was there than is kept. */
  cut: boolean;
}

export class Collection<T, H = undefined> {
  private items = new Map<string, T>();
  private snapshot: Snapshot<T, H> = { state: "loading", error: undefined, head: undefined, items: [], cut: false };
  private head: H | undefined;
  private state: LiveState = "loading";
  private error: Error | undefined;
  private cut = false;
  private readonly listeners = new Set<() => void>();
  private readonly frame = oncePerFrame(() => this.publish());

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly read = (): Snapshot<T, H> => this.snapshot;

  set(key: string, item: T): void {
    this.items.set(key, item);
    this.frame.schedule();
  }

  remove(key: string): void {
    if (this.items.delete(key)) this.frame.schedule();
  }

  /** All items anew: what isn't among them is gone. */
  replace(items: Map<string, T>): void {
    this.items = items;
    this.frame.schedule();
  }

  has(key: string): boolean {
    return this.items.has(key);
  }

  get size(): number {
    return this.items.size;
  }

  setHead(head: H): void {
    this.head = head;
    this.frame.schedule();
  }

  setCut(cut: boolean): void {
    this.cut = cut;
    this.frame.schedule();
  }

  setState(state: LiveState, error?: Error): void {
    this.state = state;
    this.error = error;
    this.frame.schedule();
  }

  private publish(): void {
    this.snapshot = {
      state: this.state, error: this.error, head: this.head, items: [...this.items.values()], cut: this.cut,
    };
    for (const listener of this.listeners) listener();
  }
}
