// Follows one list of the API: pages of it first, then its changes.
//
//   list (page by page) -> watch from its resourceVersion -> changes ... -> the same again when it breaks
//
// A browser keeps six connections to one server, and all its windows share them;
// a watch takes one for as long as it lasts. So a hidden tab follows nothing, and
// a page watches one list: others that it shows beside are listed again and again.

import { API, ApiError, getJson, isUnreachable } from "../api/http";
import type { KubeObject } from "../api/objects";
import { type ColumnDefinition, keyOf, type Row, TABLE, type Table } from "../api/table";
import type { Collection } from "./collection";
import { Backoff, pause, readLines } from "./stream";

/** The first page is small, so that there is something to look at soon. */
const FIRST = 100;
const PAGE = 500;
/** More objects than this are not kept in a tab; filters find the others. */
const MOST = 20_000;

/** How a kind of answer is read. */
interface Form<T, H> {
  accept: string;
  /** The items of a list's page, or of a watch event's object. */
  read: (answer: unknown) => { items: [string, T][]; head?: H; version: string; next: string };
}

const metadataOf = (answer: unknown) => (answer as Table).metadata ?? {};

export const asTable: Form<Row, ColumnDefinition[]> = {
  accept: TABLE,
  read(answer) {
    const table = answer as Table;
    const received = Date.now();
    const items = (table.rows ?? []).map((row): [string, Row] => [keyOf(row.object.metadata), { ...row, received }]);
    const head = table.columnDefinitions ?? undefined;
    return { items, ...(head ? { head } : {}), version: versionOf(table, items[0]?.[1].object), next: metadataOf(table).continue ?? "" };
  },
};

export function asObjects<T extends KubeObject>(): Form<T, undefined> {
  return {
    accept: "application/json",
    read(answer) {
      const list = answer as { items?: T[] } & T;
      const objects = Array.isArray(list.items) ? list.items : [list as T];
      const items = objects.map((object): [string, T] => [keyOf(object.metadata), object]);
      return { items, version: versionOf(answer, undefined), next: metadataOf(answer).continue ?? "" };
    },
  };
}

function versionOf(answer: unknown, object: KubeObject | undefined): string {
  return metadataOf(answer).resourceVersion ?? object?.metadata.resourceVersion ?? "";
}

/**
 * Follows until the signal is given. `path` is that of the list, selectors
 * included. With `every` (milliseconds) it lists again after that time in place
 * of watching.
 */
export async function follow<T, H>(path: string, form: Form<T, H>, into: Collection<T, H>, signal: AbortSignal, every?: number) {
  const backoff = new Backoff();
  while (!signal.aborted) {
    try {
      let version = await list(path, form, into, signal);
      into.setState("live");
      if (every !== undefined) {
        backoff.reset();
        await pause(every, signal);
        continue;
      }
      for (;;) {
        const from = version;
        version = await watch(path, form, into, from, signal);
        if (version !== from) backoff.reset();
        else await pause(backoff.take(), signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      const refused = error instanceof ApiError && [401, 403, 404].includes(error.status);
      const expired = error instanceof ApiError && error.status === 410;
      if (refused) into.replace(new Map());
      if (!expired) into.setState(refused ? "refused" : "waiting", isUnreachable(error) ? undefined : (error as Error));
      // Rights may be given while the page is open.
      await pause(refused ? 15_000 : expired ? 0 : backoff.take(), signal);
    }
  }
}

function withQuery(path: string, query: Record<string, string>): string {
  return `${API}${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams(query)}`;
}

async function list<T, H>(path: string, form: Form<T, H>, into: Collection<T, H>, signal: AbortSignal) {
  const all = new Map<string, T>();
  let version = "";
  let next = "";
  do {
    const query: Record<string, string> = next ? { limit: String(PAGE), continue: next } : { limit: String(FIRST) };
    const page = form.read(await getJson(withQuery(path, query), signal, form.accept));
    for (const [key, item] of page.items) all.set(key, item);
    if (page.head) into.setHead(page.head);
    // The first page is shown at once; an older picture stays until the new one is whole.
    if (into.size <= all.size) into.replace(new Map(all));
    version ||= page.version;
    next = page.next;
  } while (next && all.size < MOST);
  into.replace(all);
  into.setCut(next !== "");
  return version;
}

interface WatchEvent {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: unknown;
}

/** Applies changes until the stream ends; gives the version to go on from. */
async function watch<T, H>(
  path: string, form: Form<T, H>, into: Collection<T, H>, from: string, signal: AbortSignal,
): Promise<string> {
  let version = from;
  const query = { watch: "1", resourceVersion: from, allowWatchBookmarks: "true" };
  const onLine = (value: unknown) => {
    const event = value as WatchEvent;
    if (event.type === "ERROR") {
      const status = event.object as { code?: number; reason?: string; message?: string };
      throw new ApiError(status.code ?? 500, status.reason ?? "", status.message ?? "the watch ended");
    }
    const change = form.read(event.object);
    if (change.version) version = change.version;
    if (event.type === "BOOKMARK") return;
    for (const [key, item] of change.items) {
      if (event.type === "DELETED") into.remove(key);
      else if (into.size < MOST || into.has(key)) into.set(key, item);
      else into.setCut(true);
    }
  };
  await readLines(withQuery(path, query), form.accept, signal, onLine, () => into.setState("live"));
  return version;
}
