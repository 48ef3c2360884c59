// HorizontalPodAutoscalers as they stand, and what they decided, with reasons.

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useMemo } from "react";
import { AUTOSCALERS } from "../../api/kinds";
import type { Autoscaler as Hpa } from "../../api/objects";
import { instant, literal, objectsOf, runSql } from "../../api/sql";
import { keyOf } from "../../api/table";
import { Empty, Panel, Problem } from "../../components/Notice";
import { useLiveObjects } from "../../live/useLive";
import { pivot, withZone } from "../../query/series";
import { refreshEvery, windowOf } from "../../state/scope";
import { useParameter, useScope } from "../../state/useScope";
import { Card } from "./Card";
import { DecisionRow } from "./DecisionRow";
import { decisionOf, grouped } from "./decisions";

const Chart = lazy(() => import("../../components/Chart"));

export function Autoscaler() {
  const [scope, setScope] = useScope();
  const [only, setOnly] = useParameter("only");
  const scalers = useLiveObjects<Hpa>(AUTOSCALERS, { namespace: scope.namespace, labels: scope.labels });
  const rows = useQuery({
    queryKey: ["decisions", scope.namespace, scope.range],
    queryFn: async ({ signal }) => {
      const { from, to } = windowOf(scope.range, Date.now());
      const inside = scope.namespace ? `and namespace = ${literal(scope.namespace)}` : "";
      const answer = await runSql(`select * from decisions where time >= ${instant(from)} and time < ${instant(to)} ${inside} order by time desc limit 2000`, signal);
      return objectsOf(answer).map(decisionOf);
    },
    refetchInterval: refreshEvery(scope.range) && 3000,
    placeholderData: keepPreviousData,
  });
  const named = useMemo(() => new Set(scalers.items.map((hpa) => keyOf(hpa.metadata))), [scalers.items]);
  // Labels are the autoscalers' own; decisions have none.
  const decisions = useMemo(() => (rows.data ?? []).filter((one) => !scope.labels || named.has(`${one.namespace}/${one.autoscaler}`)), [rows.data, scope.labels, named]);
  const groups = useMemo(() => grouped(decisions).filter((group) => only !== "changes" || group.current !== group.desired), [decisions, only]);
  const series = useMemo(() => pivot(decisions.map((one) => [Date.parse(withZone(one.time)), `${one.namespace}/${one.autoscaler}`, one.desired]), Number.POSITIVE_INFINITY), [decisions]);
  const window = useMemo(() => windowOf(scope.range, rows.dataUpdatedAt || Date.now()), [scope.range, rows.dataUpdatedAt]);
  return (
    <div className="flex flex-col gap-3 md:gap-4">
      {scalers.error && <Problem error={scalers.error} />}
      <div className="grid gap-3 md:gap-4 lg:grid-cols-2">
        {scalers.items.map((hpa) => <Card key={`${hpa.metadata.namespace}/${hpa.metadata.name}`} hpa={hpa} />)}
      </div>
      {scalers.state !== "loading" && scalers.items.length === 0 && !scalers.error && (
        <Panel title="Autoscalers"><Empty>None here. Make one: <code className="font-mono">kubectl autoscale deployment NAME --min=1 --max=5 --cpu-percent=60</code></Empty></Panel>
      )}
      {series.times.length > 1 && (
        <Panel title="Desired replicas">
          <Suspense fallback={<div className="h-44" />}>
            <Chart label="Desired replicas" series={series} window={window} stepped format={(value) => (Number.isInteger(value) ? String(value) : "")} onZoom={(from, to) => setScope({ range: { from, to } })} />
          </Suspense>
        </Panel>
      )}
      <Panel title="Decisions" note={<span className="flex items-center gap-3">
        <button type="button" aria-pressed={only === "changes"} className={`button h-7 text-[12px] max-md:h-9 ${only === "changes" ? "border-accent text-accent" : ""}`}
          onClick={() => setOnly(only === "changes" ? "" : "changes", { replace: true })}>Only changes</button>
        {decisions.length || ""}
      </span>}>
        {rows.error && !rows.data ? <Problem error={rows.error} /> : groups.length === 0 ? <Empty>{rows.isPending ? "Loading…" : only === "changes" && decisions.length ? `None of ${decisions.length} decisions changed anything.` : "No decisions in this time range."}</Empty> : (
          <ol className="max-h-[70vh] overflow-auto">{groups.slice(0, 300).map((group) => <DecisionRow key={`${group.time}/${group.namespace}/${group.autoscaler}`} group={group} />)}</ol>
        )}
      </Panel>
    </div>
  );
}
