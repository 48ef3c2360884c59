// One figure of one table over the page's time range.

import { useQuery, keepPreviousData } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { instant, runSql } from "../api/sql";
import { stepFor } from "../format/time";
import { pivot } from "../query/series";
import { refreshEvery, windowOf } from "../state/scope";
import { useScope } from "../state/useScope";
import { Empty, Panel, Problem } from "./Notice";

const Chart = lazy(() => import("./Chart"));

interface Props {
  title: string;
  table: "node" | "pod" | "container";
  figure: string;
  by: string;
  where?: string;
  format: (value: number) => string;
}

export function UsageChart({ title, table, figure, by, where = "true", format }: Props) {
  const [scope, setScope] = useScope();
  const answer = useQuery({
    queryKey: ["usage", table, figure, by, where, scope.range],
    queryFn: async ({ signal }) => {
      const window = windowOf(scope.range, Date.now());
      const { from, to } = window;
      const step = Math.max(stepFor(to - from, 150), to - from > 300_000 ? 15_000 : 5000);
      const rows = await runSql(
        `select date_bin(interval '${step / 1000} seconds', time) as t, ${by}, avg(${figure}) as v from ${table}
         where time >= ${instant(from)} and time < ${instant(to)} and ${where} group by 1, 2 order by 1`, signal);
      return { window, series: pivot(rows.rows as [string, string, number][], Math.max(3 * step, 45_000)) };
    },
    refetchInterval: refreshEvery(scope.range),
    placeholderData: keepPreviousData,
  });
  const shown = answer.data?.series.times.length ? answer.data : undefined;
  return (
    <Panel title={title}>
      {/* As high with lines as without, so that nothing below jumps. */}
      <div className="min-h-[186px]">
        {answer.error && !answer.data ? <Problem error={answer.error} /> : shown ? (
          <Suspense>
            <Chart label={title} series={shown.series} window={shown.window} format={format} binary={figure.includes("memory")} onZoom={(from, to) => setScope({ range: { from, to } })} />
          </Suspense>
        ) : <Empty>{answer.isPending ? "Loading…" : "No samples in this time range."}</Empty>}
      </div>
    </Panel>
  );
}
