// What is broken, and who uses what.

import { useQuery, keepPreviousData } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { isHidden } from "../../api/http";
import { DEPLOYMENTS, NODES, PODS } from "../../api/kinds";
import { runSql, literal } from "../../api/sql";
import { keyOf } from "../../api/table";
import { Ending } from "../../components/Ending";
import { Empty, Hidden, Panel, Problem } from "../../components/Notice";
import { UsageChart } from "../../components/UsageChart";
import { byteRate, bytes, cores } from "../../format/quantity";
import type { LiveState } from "../../live/collection";
import { BESIDE, useLiveTable } from "../../live/useLive";
import { useHref, useScope } from "../../state/useScope";
import { useNow } from "../workloads/TableRows";
import { brokenDeployments, brokenNodes, brokenPods, type Trouble } from "./trouble";
import { Warnings } from "./Warnings";

export function Home() {
  const [scope] = useScope();
  const now = useNow();
  const only = { namespace: scope.namespace, labels: scope.labels };
  const [pods, nodes, deployments] = [useLiveTable(PODS, only), useLiveTable(NODES, {}, BESIDE), useLiveTable(DEPLOYMENTS, only, BESIDE)];
  const kinds = [
    { name: "Nodes", to: "/nodes", list: nodes, broken: brokenNodes(nodes) },
    { name: "Deployments", to: "/workloads/deployments", list: deployments, broken: brokenDeployments(deployments) },
    { name: "Pods", to: "/workloads/pods", list: pods, broken: brokenPods(pods, now) },
  ];
  const troubles = kinds.flatMap((kind) => kind.broken);
  const hidden = kinds.filter(({ list }) => isHidden(list.error)).map(({ name }) => name);
  const failed = kinds.filter(({ list }) => list.error && !isHidden(list.error));
  const loading = kinds.some(({ list }) => list.state === "loading");
  const fine = hidden.length === kinds.length ? "Nothing that you may see." : hidden.length ? "Nothing among what you may see." : "Nothing: every node is ready, every Pod runs.";
  return (
    <div className="flex flex-col gap-3 md:gap-4">
      <div className="grid grid-cols-3 gap-3 md:gap-4">
        {kinds.map(({ name, to, list, broken }) => <Tally key={name} name={name} to={to} state={list.state} total={list.items.length} broken={broken.length} />)}
      </div>
      {hidden.length > 0 && <Hidden>{hidden.join(", ")}{scope.namespace ? "" : " of all namespaces"} are left out of this page.</Hidden>}
      {failed.map(({ name, list }) => <Problem key={name} error={list.error} />)}
      <div className="grid gap-3 md:gap-4 lg:grid-cols-2">
        <Panel title="What is broken" note={troubles.length || ""}>
          {troubles.length ? <Troubles list={troubles} /> : <Empty>{loading ? "Loading…" : fine}</Empty>}
        </Panel>
        <Warnings namespace={scope.namespace} />
      </div>
      {!isHidden(nodes.error) && (
        <div className="grid gap-3 md:gap-4 lg:grid-cols-2">
          <UsageChart title="CPU of nodes" table="node" figure="cpu_cores" by="node" format={cores} />
          <UsageChart title="Memory of nodes" table="node" figure="memory_working_set_bytes" by="node" format={bytes} />
          <UsageChart title="Disk writes of nodes" table="node" figure="disk_write_bytes_per_second" by="node" format={byteRate} />
          <UsageChart title="Network received by nodes" table="node" figure="network_receive_bytes_per_second" by="node" format={byteRate} />
        </div>
      )}
      <TopPods namespace={scope.namespace} among={scope.labels ? new Set(pods.items.map((row) => keyOf(row.object.metadata))) : undefined} />
    </div>
  );
}

function Tally({ name, to, state, total, broken }: { name: string; to: string; state: LiveState; total: number; broken: number }) {
  const href = useHref();
  const known = state !== "loading" && state !== "refused";
  const [tone, note] = state === "refused" ? ["text-warn", "hidden"] : state === "loading" ? ["text-faint", "…"] : broken ? ["text-bad", `${broken} not well`] : ["text-ok", "all well"];
  return (
    <Link href={href(to)} className="panel px-3 py-3 hover:bg-raised md:px-4">
      <span className="block text-[12px] text-dim">{name}</span>
      <span className="numbers mt-0.5 flex flex-wrap items-baseline gap-x-2 text-2xl font-semibold tracking-tight">
        {known ? total : "–"} <span className={`text-[12px] font-medium tracking-normal ${tone}`}>{known && total === 0 ? "none" : note}</span>
      </span>
    </Link>
  );
}

function Troubles({ list }: { list: Trouble[] }): ReactNode {
  const href = useHref();
  return (
    <ul className="max-h-72 overflow-auto">
      {list.slice(0, 100).map((trouble) => (
        <li key={trouble.path}>
          <Link href={href(trouble.path)} className="flex items-center gap-3 border-b border-line/50 px-4 py-2 text-[13px] hover:bg-raised max-md:py-3">
            <span className="size-2 shrink-0 rounded-full bg-bad" />
            <span className="shrink-0 text-faint">{trouble.kind}</span>
            <span className="min-w-0 flex-1"><Ending text={trouble.name} /></span>
            <span className="shrink-0 text-bad">{trouble.what}</span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

function TopPods({ namespace, among }: { namespace: string; among: Set<string> | undefined }) {
  const href = useHref();
  const top = useQuery({
    queryKey: ["top", namespace],
    queryFn: ({ signal }) => runSql(
      `select namespace, pod, max(node) as node, avg(cpu_cores) as cpu, avg(memory_working_set_bytes) as memory from pod
       where time > now() - interval '30 seconds' ${namespace ? `and namespace = ${literal(namespace)}` : ""}
       group by namespace, pod order by cpu desc nulls last limit 200`, signal),
    refetchInterval: 5000,
    placeholderData: keepPreviousData,
  });
  const rows = (top.data?.rows ?? []).filter((row) => !among || among.has(`${row[0]}/${row[1]}`)).slice(0, 10);
  const most = Math.max(0.001, ...rows.map((row) => Number(row[3]) || 0));
  return (
    <Panel title="Busiest Pods" note="last 30 s">
      {top.error ? <Problem error={top.error} /> : rows.length === 0 ? <Empty>{top.isPending ? "Loading…" : "No samples yet."}</Empty> : (
        <ul>
          {rows.map((row) => (
            <li key={`${row[0]}/${row[1]}`}>
              <Link href={href(`/workloads/pods/${row[0]}/${row[1]}`)} className="grid grid-cols-[1fr_64px_76px] items-center gap-3 border-b border-line/50 px-4 py-1.5 text-[13px] hover:bg-raised max-md:py-2.5 md:grid-cols-[1fr_1fr_90px_90px]">
                <Ending text={`${row[0]}/${row[1]}`} />
                <span className="hidden h-1.5 rounded-full bg-raised md:block"><span className="block h-full rounded-full bg-accent" style={{ width: `${(100 * (Number(row[3]) || 0)) / most}%` }} /></span>
                <span className="numbers text-right">{cores(row[3] as number)}</span>
                <span className="numbers text-right text-dim">{bytes(row[4] as number)}</span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
