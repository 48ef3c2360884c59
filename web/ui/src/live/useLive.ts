// Live lists in components. The last few lists are kept, so that going back to
// a page shows what was there at once.

import { useEffect, useMemo, useSyncExternalStore } from "react";
import { type Kind, type ListOptions, listPath } from "../api/kinds";
import type { KubeObject } from "../api/objects";
import type { ColumnDefinition, Row } from "../api/table";
import { Collection, type Snapshot } from "./collection";
import { asObjects, asTable, follow } from "./follow";

const KEPT = 10;
const kept = new Map<string, Collection<unknown, unknown>>();

function collection<T, H>(key: string): Collection<T, H> {
  const found = kept.get(key) ?? new Collection<unknown, unknown>();
  kept.delete(key);
  kept.set(key, found);
  for (const oldest of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(oldest);
  }
  return found as unknown as Collection<T, H>;
}

/** Forgets everything, as after signing out. */
export function forgetLive(): void {
  kept.clear();
}

function useFollowed<T, H>(
  key: string, start: (into: Collection<T, H>, signal: AbortSignal) => Promise<void>,
): Snapshot<T, H> {
  const into = useMemo(() => collection<T, H>(key), [key]);
  const begin = useMemo(() => start, [key]);
  useEffect(() => {
    let abort: AbortController | undefined;
    const follow = () => {
      if (document.hidden) {
        abort?.abort();
        abort = undefined;
      } else if (!abort) {
        abort = new AbortController();
        void begin(into, abort.signal);
      }
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      abort?.abort();
    };
  }, [begin, into]);
  return useSyncExternalStore(into.subscribe, into.read);
}

/** Lists beside the one that a page watches are asked for this often, in milliseconds; see follow.ts. */
export const BESIDE = 3000;

/** Table rows of a list, as kubectl prints them, live. */
export function useLiveTable(kind: Kind, options: ListOptions = {}, every?: number): Snapshot<Row, ColumnDefinition[]> {
  const path = listPath(kind, options);
  return useFollowed<Row, ColumnDefinition[]>(`table ${path}`, (into, signal) => follow(path, asTable, into, signal, every));
}

/** Whole objects of a list, live; for short lists. */
export function useLiveObjects<T extends KubeObject>(kind: Kind, options: ListOptions = {}, every?: number): Snapshot<T, undefined> {
  const path = listPath(kind, options);
  return useFollowed<T, undefined>(`objects ${path}`, (into, signal) => follow(path, asObjects<T>(), into, signal, every));
}
