// What Pods use just now, as columns beside their rows.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { literal, runSql } from "../../api/sql";
import { keyOf, type Row } from "../../api/table";
import type { Column } from "../../components/RowList";
import { bytes, cores } from "../../format/quantity";

export function usePodUsage(namespace: string, enabled: boolean): Column<Row>[] {
  const usage = useQuery({
    queryKey: ["pod-usage", namespace],
    enabled,
    queryFn: async ({ signal }) => {
      const inside = namespace ? `and namespace = ${literal(namespace)}` : "";
      const answer = await runSql(`select namespace, pod, avg(cpu_cores), avg(memory_working_set_bytes) from pod where time > now() - interval '30 seconds' ${inside} group by 1, 2`, signal);
      return new Map(answer.rows.map((row) => [`${row[0]}/${row[1]}`, [row[2] as number, row[3] as number] as const]));
    },
    refetchInterval: 5000,
    placeholderData: keepPreviousData,
  });
  return useMemo(() => {
    if (!enabled) return [];
    const of = (row: Row) => usage.data?.get(keyOf(row.object.metadata));
    return [
      { name: "CPU", width: "64px", right: true, wideOnly: true, sortBy: (row) => of(row)?.[0] ?? -1, show: (row) => cores(of(row)?.[0]) },
      { name: "Memory", width: "84px", right: true, wideOnly: true, sortBy: (row) => of(row)?.[1] ?? -1, show: (row) => bytes(of(row)?.[1]) },
    ];
  }, [enabled, usage.data]);
}
