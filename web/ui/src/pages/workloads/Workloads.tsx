// Live lists, as kubectl prints them, one tab a kind.

import { useDeferredValue, useMemo } from "react";
import { Link } from "wouter";
import { PODS, WORKLOADS, workload } from "../../api/kinds";
import { useLiveTable } from "../../live/useLive";
import { Empty, Panel, Problem } from "../../components/Notice";
import { useHref, useParameter, useScope } from "../../state/useScope";
import { TableRows } from "./TableRows";
import { usePodUsage } from "./usePodUsage";

export function Workloads({ plural }: { plural: string }) {
  const kind = workload(plural) ?? PODS;
  const href = useHref();
  const [scope] = useScope();
  const [filter, setFilter] = useParameter("filter");
  const wanted = useDeferredValue(filter.toLowerCase());
  const list = useLiveTable(kind, { namespace: scope.namespace, labels: scope.labels });
  const usage = usePodUsage(scope.namespace, kind === PODS);
  const rows = useMemo(
    () => list.items.filter((row) => !wanted || `${row.object.metadata.namespace}/${row.cells.join(" ")}`.toLowerCase().includes(wanted)),
    [list.items, wanted],
  );
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center gap-2">
        <nav aria-label="Kinds" className="flex max-w-full gap-1 overflow-x-auto">
          {WORKLOADS.map((one) => (
            <Link key={one.plural} href={href(`/workloads/${one.plural}`)} aria-current={one === kind ? "page" : undefined}
              className={`rounded-lg px-2.5 py-1 text-[13px] font-medium whitespace-nowrap ${one === kind ? "bg-accent/12 text-accent" : "text-dim hover:bg-raised"}`}>{one.title}</Link>
          ))}
        </nav>
        <input aria-label="Filter" placeholder="Filter" className="field w-full sm:ml-auto sm:w-56" value={filter} onChange={(event) => setFilter(event.target.value, { replace: true })} />
      </div>
      {list.error && <Problem error={list.error} />}
      <Panel title={kind.title} note={<>{rows.length}{list.cut ? "+" : ""} · {list.state}</>}>
        {rows.length === 0 ? <Empty>{list.state === "loading" ? "Loading…" : `No ${kind.title} here.`}</Empty>
          : <TableRows kind={kind} head={list.head ?? []} rows={rows} extra={usage} />}
      </Panel>
    </div>
  );
}
