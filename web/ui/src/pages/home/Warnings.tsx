// Warning events, the newest first.

import { useQuery } from "@tanstack/react-query";
import { API, getJson } from "../../api/http";
import { EVENTS, listPath } from "../../api/kinds";
import { type Event, lastSeen } from "../../api/objects";
import { Empty, Panel, Problem } from "../../components/Notice";
import { age } from "../../format/time";
import { printable } from "../../format/printable";

export function Warnings({ namespace }: { namespace: string }) {
  const events = useQuery({
    queryKey: ["warnings", namespace],
    queryFn: ({ signal }) => getJson<{ items: Event[] }>(`${API}${listPath(EVENTS, { namespace, fields: "type=Warning" })}&limit=500`, signal),
    refetchInterval: 10_000,
  });
  const now = Date.now();
  const list = (events.data?.items ?? []).toSorted((a, b) => lastSeen(b).localeCompare(lastSeen(a))).slice(0, 50);
  return (
    <Panel title="Warnings" note={list.length || ""}>
      {events.error ? <Problem error={events.error} /> : list.length === 0 ? <Empty>{events.isPending ? "Loading…" : "No warnings."}</Empty> : <EventLines events={list} now={now} />}
    </Panel>
  );
}

export function EventLines({ events, now }: { events: Event[]; now: number }) {
  return (
    <ul className="max-h-72 overflow-auto">
      {events.map((event) => (
        <li key={event.metadata.uid ?? event.metadata.name} className="flex gap-3 border-b border-line/50 px-4 py-2 text-[13px]">
          <span className="numbers w-11 shrink-0 text-faint">{age(lastSeen(event), now)}</span>
          <span className="min-w-0">
            <span className={`font-medium ${event.type === "Warning" ? "text-warn" : "text-ink"}`}>{event.reason}</span>{" "}
            <span className="text-faint">{event.involvedObject?.kind} {event.involvedObject?.name}</span>
            <span className="block break-words text-dim">{printable(event.message ?? "")}{(event.count ?? 1) > 1 ? ` (${event.count} times)` : ""}</span>
          </span>
        </li>
      ))}
    </ul>
  );
}
