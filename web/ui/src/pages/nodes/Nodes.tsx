// All nodes, live, with what they use.

import { useQuery, keepPreviousData } from "@tanstack/react-query";
import { NODES } from "../../api/kinds";
import { runSql } from "../../api/sql";
import type { Row } from "../../api/table";
import { Empty, Panel, Problem } from "../../components/Notice";
import type { Column } from "../../components/RowList";
import { UsageChart } from "../../components/UsageChart";
import { byteRate, bytes, cores } from "../../format/quantity";
import { useLiveTable } from "../../live/useLive";
import { TableRows } from "../workloads/TableRows";

export function Nodes() {
  const nodes = useLiveTable(NODES);
  const usage = useQuery({
    queryKey: ["node-usage"],
    queryFn: ({ signal }) => runSql("select node, avg(cpu_cores), avg(memory_working_set_bytes) from node where time > now() - interval '30 seconds' group by node", signal),
    refetchInterval: 5000,
    placeholderData: keepPreviousData,
  });
  const of = (row: Row, at: number) => usage.data?.rows.find((one) => one[0] === row.object.metadata.name)?.[at] as number | undefined;
  const extra: Column<Row>[] = [
    { name: "CPU", width: "70px", right: true, wideOnly: true, sortBy: (row) => of(row, 1) ?? -1, show: (row) => cores(of(row, 1)) },
    { name: "Memory", width: "90px", right: true, wideOnly: true, sortBy: (row) => of(row, 2) ?? -1, show: (row) => bytes(of(row, 2)) },
  ];
  return (
    <div className="flex flex-col gap-3 md:gap-4">
      {nodes.error && <Problem error={nodes.error} />}
      {nodes.state !== "refused" && (
        <>
          <Panel title="Nodes" note={<>{nodes.items.length} · {nodes.state}</>}>
            {nodes.items.length ? <TableRows kind={NODES} head={nodes.head ?? []} rows={nodes.items} extra={extra} /> : <Empty>{nodes.state === "loading" ? "Loading…" : "No nodes."}</Empty>}
          </Panel>
          <NodeCharts where="true" />
        </>
      )}
    </div>
  );
}

export function NodeCharts({ where }: { where: string }) {
  return (
    <div className="grid gap-3 md:gap-4 lg:grid-cols-2">
      <UsageChart title="CPU" table="node" figure="cpu_cores" by="node" where={where} format={cores} />
      <UsageChart title="Memory" table="node" figure="memory_working_set_bytes" by="node" where={where} format={bytes} />
      <UsageChart title="Disk writes" table="node" figure="disk_write_bytes_per_second" by="node" where={where} format={byteRate} />
      <UsageChart title="Network received" table="node" figure="network_receive_bytes_per_second" by="node" where={where} format={byteRate} />
    </div>
  );
}
