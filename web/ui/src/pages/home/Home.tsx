// What is broken, and who uses what.

import { useQuery, keepPreviousData } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Link } from "wouter";
import { DEPLOYMENTS, NODES, PODS } from "../../api/kinds";
import { runSql, literal } from "../../api/sql";
import { keyOf } from "../../api/table";
import { Empty, Panel, Problem } from "../../components/Notice";
import { UsageChart } from "../../components/UsageChart";
import { byteRate, bytes, cores } from "../../format/quantity";
import { useLiveTable } from "../../live/useLive";
import { useHref, useScope } from "../../state/useScope";
import { brokenDeployments, brokenNodes, brokenPods, type Trouble } from "./trouble";
import { Warnings } from "./Warnings";

export function Home() {
  const [scope] = useScope();
  const only = { namespace: scope.namespace, labels: scope.labels };
  const [pods, nodes, deployments] = [useLiveTable(PODS, only), useLiveTable(NODES), useLiveTable(DEPLOYMENTS, only)];
  const troubles = [...brokenNodes(nodes), ...brokenDeployments(deployments), ...brokenPods(pods)];
  const refused = [pods, nodes, deployments].filter((list) => list.error);
  const loading = [pods, nodes, deployments].some((list) => list.state === "loading");
  const tally = (name: string, to: string, total: number, broken: number) => <Tally key={name} name={name} to={to} total={total} broken={broken} />;
  return (
    <div className="flex flex-col gap-3 md:gap-4">
      <div className="grid grid-cols-3 gap-3 md:gap-4">
        {tally("Nodes", "/nodes", nodes.items.length, brokenNodes(nodes).length)}
        {tally("Deployments", "/workloads/deployments", deployments.items.length, brokenDeployments(deployments).length)}
        {tally("Pods", "/workloads/pods", pods.items.length, brokenPods(pods).length)}
      </div>
      {refused.map((list, at) => <Problem key={at} error={list.error} />)}
      <div className="grid gap-3 md:gap-4 lg:grid-cols-2">
        <Panel title="What is broken" note={troubles.length || ""}>
          {troubles.length ? <Troubles list={troubles} /> : <Empty>{loading ? "Loading…" : "Nothing: every node is ready, every Pod runs."}</Empty>}
        </Panel>
        <Warnings namespace={scope.namespace} />
      </div>
      <div className="grid gap-3 md:gap-4 lg:grid-cols-2">
        <UsageChart title="CPU of nodes" table="node" figure="cpu_cores" by="node" format={cores} />
        <UsageChart title="Memory of nodes" table="node" figure="memory_working_set_bytes" by="node" format={bytes} />
        <UsageChart title="Disk writes of nodes" table="node" figure="disk_write_bytes_per_second" by="node" format={byteRate} />
        <UsageChart title="Network received by nodes" table="node" figure="network_receive_bytes_per_second" by="node" format={byteRate} />
      </div>
      <TopPods namespace={scope.namespace} among={scope.labels ? new Set(pods.items.map((row) => keyOf(row.object.metadata))) : undefined} />
    </div>
  );
}

function Tally({ name, to, total, broken }: { name: string; to: string; total: number; broken: number }) {
  const href = useHref();
  return (
    <Link href={href(to)} className="panel px-3 py-3 hover:bg-raised md:px-4">
      <span className="block text-[12px] text-dim">{name}</span>
      <span className="numbers mt-0.5 flex flex-wrap items-baseline gap-x-2 text-2xl font-semibold tracking-tight">
        {total} <span className={`text-[12px] font-medium ${broken ? "text-bad" : "text-ok"}`}>{broken ? `${broken} not well` : "all well"}</span>
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
          <Link href={href(trouble.path)} className="flex items-center gap-3 border-b border-line/50 px-4 py-2 text-[13px] hover:bg-raised">
            <span className="size-2 shrink-0 rounded-full bg-bad" />
            <span className="min-w-0 flex-1 truncate"><span className="text-faint">{trouble.kind} </span>{trouble.name}</span>
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
              <Link href={href(`/workloads/pods/${row[0]}/${row[1]}`)} className="grid grid-cols-[1fr_64px_76px] items-center gap-3 border-b border-line/50 px-4 py-1.5 text-[13px] hover:bg-raised md:grid-cols-[1fr_1fr_90px_90px]">
                <span className="truncate"><span className="text-faint">{row[0]}/</span>{row[1]}</span>
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
