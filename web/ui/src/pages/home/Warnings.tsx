// Warning events of the page's time range, the newest first.

import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { API, getJson, isHidden } from "../../api/http";
import { EVENTS, listPath, NODES, WORKLOADS } from "../../api/kinds";
import { type Event, lastSeen } from "../../api/objects";
import { Empty, Panel, Problem } from "../../components/Notice";
import { age } from "../../format/time";
import { printable } from "../../format/printable";
import { windowOf } from "../../state/scope";
import { useHref, useScope } from "../../state/useScope";

export function Warnings({ namespace }: { namespace: string }) {
  const [scope] = useScope();
  const events = useQuery({
    queryKey: ["warnings", namespace],
    queryFn: ({ signal }) => getJson<{ items: Event[] }>(`${API}${listPath(EVENTS, { namespace, fields: "type=Warning" })}&limit=500`, signal),
    refetchInterval: 10_000,
  });
  const now = Date.now();
  const { from, to } = windowOf(scope.range, now);
  const within = (event: Event) => Date.parse(lastSeen(event)) >= from && Date.parse(lastSeen(event)) <= to + 1000;
  const list = (events.data?.items ?? []).filter(within).toSorted((a, b) => lastSeen(b).localeCompare(lastSeen(a))).slice(0, 50);
  return (
    <Panel title="Warnings" note={list.length || ""}>
      {isHidden(events.error) ? <Empty>Your rights do not reach the events of {namespace || "all namespaces"}.</Empty> : events.error && !events.data ? <Problem error={events.error} /> : list.length === 0 ? <Empty>{events.isPending ? "Loading…" : "No warnings in this time range."}</Empty> : <EventLines events={list} now={now} linked />}
    </Panel>
  );
}

/** Where an object has a page. */
function pageOf({ kind, namespace, name }: { kind?: string; namespace?: string; name?: string } = {}): string | undefined {
  if (kind === NODES.kind) return `/nodes/${name}`;
  const found = WORKLOADS.find((one) => one.kind === kind);
  return found && namespace ? `/workloads/${found.plural}/${namespace}/${name}` : undefined;
}

/** `linked`: with ways to the objects; of no use on the object's own page. */
export function EventLines({ events, now, linked }: { events: Event[]; now: number; linked?: boolean }) {
  const href = useHref();
  return (
    <ul className="max-h-72 overflow-auto" tabIndex={0} aria-label="Events">
      {events.map((event) => {
        const about = `${event.involvedObject?.kind} ${event.involvedObject?.name}`;
        const page = linked ? pageOf(event.involvedObject) : undefined;
        return (
          <li key={event.metadata.uid ?? event.metadata.name} className="flex gap-3 border-b border-line/50 px-4 py-2 text-[13px]">
            <span className="numbers w-11 shrink-0 text-faint">{age(lastSeen(event), now)}</span>
            <span className="min-w-0">
              <span className={`font-medium ${event.type === "Warning" ? "text-warn" : "text-ink"}`}>{printable(event.reason ?? "")}</span>{" "}
              {page ? <Link href={href(page)} className="text-dim hover:text-accent hover:underline">{about}</Link> : <span className="text-faint">{about}</span>}
              <span className="block break-words text-dim">{printable(event.message ?? "")}{(event.count ?? 1) > 1 ? ` (${event.count} times)` : ""}</span>
            </span>
          </li>
        );
      })}
    </ul>
  );
}
