// Live lists, as kubectl prints them, one tab a kind.

import { useDeferredValue, useMemo } from "react";
import { Link } from "wouter";
import { EVENTS, PODS, WORKLOADS, workload } from "../../api/kinds";
import { cell, type ColumnDefinition, keyOf, type Row } from "../../api/table";
import { durationIn } from "../../format/time";
import { useLiveTable } from "../../live/useLive";
import { Empty, Panel, Problem } from "../../components/Notice";
import { useHref, useParameter, useScope } from "../../state/useScope";
import { TableRows } from "./TableRows";
import { usePodUsage } from "./usePodUsage";

/** Events: the newest first; all else by namespace and name, wherever a change put it. */
function inOrder(rows: Row[], head: ColumnDefinition[], newestFirst: boolean): Row[] {
  const instant = (row: Row) => row.received - (durationIn(cell(head, row, "Last Seen")) ?? 0);
  return newestFirst
    ? rows.toSorted((a, b) => instant(b) - instant(a))
    : rows.toSorted((a, b) => keyOf(a.object.metadata).localeCompare(keyOf(b.object.metadata)));
}

/** On a phone not all kinds have room. */
function intoView(link: HTMLAnchorElement | null): void {
  link?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

export function Workloads({ plural }: { plural: string }) {
  const kind = workload(plural) ?? PODS;
  const href = useHref();
  const [scope] = useScope();
  const [filter, setFilter] = useParameter("filter");
  const wanted = useDeferredValue(filter.toLowerCase());
  const list = useLiveTable(kind, { namespace: scope.namespace, labels: scope.labels });
  const usage = usePodUsage(scope.namespace, kind === PODS);
  const rows = useMemo(
    () => inOrder(list.items.filter((row) => !wanted || `${row.object.metadata.namespace}/${row.cells.join(" ")}`.toLowerCase().includes(wanted)), list.head ?? [], kind === EVENTS),
    [list.items, list.head, wanted, kind],
  );
  const none = list.state === "loading" ? "Loading…" : list.items.length > 0 ? `None of the ${list.items.length} ${kind.title} match the filter.`
    : `No ${kind.title}${scope.namespace ? ` in ${scope.namespace}` : ""}${scope.labels ? ` with ${scope.labels}` : ""}.`;
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-2">
        <nav aria-label="Kinds" className="flex max-w-full gap-1 overflow-x-auto">
          {WORKLOADS.map((one) => (
            <Link key={one.plural} ref={one === kind ? intoView : undefined} href={href(`/workloads/${one.plural}`)} aria-current={one === kind ? "page" : undefined}
              className={`rounded-lg px-2.5 py-1 text-[13px] font-medium whitespace-nowrap max-md:py-2 ${one === kind ? "bg-accent/12 text-accent" : "text-dim hover:bg-raised"}`}>{one.title}</Link>
          ))}
        </nav>
        <input aria-label="Filter" type="search" placeholder={`Filter ${kind.title}`} className="field w-full sm:ml-auto sm:w-56" value={filter} onChange={(event) => setFilter(event.target.value, { replace: true })} />
      </div>
      {list.error && <Problem error={list.error} />}
      {list.state !== "refused" && (
        <Panel title={kind.title} note={<>{rows.length}{list.cut ? "+" : ""} · {list.state}</>}>
          {rows.length === 0 ? <Empty>{none}</Empty> : <TableRows key={kind.plural} kind={kind} head={list.head ?? []} rows={rows} extra={usage} tall />}
        </Panel>
      )}
    </div>
  );
}
