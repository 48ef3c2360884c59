// One autoscaler as it stands.

import type { Autoscaler, MetricSpec } from "../../api/objects";
import { Panel, toneOf } from "../../components/Notice";
import { parseQuantity } from "../../format/quantity";

function readingOf(metric: MetricSpec) {
  const resource = metric.resource ?? metric.containerResource;
  const other = metric.pods ?? metric.object ?? metric.external;
  return { name: resource?.name ?? other?.metric?.name ?? metric.type, target: resource?.target ?? other?.target, current: resource?.current ?? other?.current };
}

export function Card({ hpa }: { hpa: Autoscaler }) {
  const { minReplicas: min = 1, maxReplicas: max = 1, scaleTargetRef: target, metrics = [] } = hpa.spec ?? {};
  const { currentReplicas: current = 0, desiredReplicas: desired = 0, currentMetrics, conditions = [] } = hpa.status ?? {};
  const now = (currentMetrics ?? []).map(readingOf);
  return (
    <Panel title={`${hpa.metadata.namespace}/${hpa.metadata.name}`} note={`${target?.kind} ${target?.name}`}>
      <div className="px-4 py-3">
        <p className="numbers flex items-baseline gap-2"><span className="text-2xl font-semibold tracking-tight">{current}</span>
          {desired !== current && <span className="font-medium text-accent">→ {desired}</span>}<span className="text-[12.5px] text-faint">of {min} to {max} replicas</span></p>
        <div className="mt-2 flex gap-1" aria-hidden="true">
          {Array.from({ length: Math.min(max, 40) }, (_, at) => <span key={at} className={`h-2 flex-1 rounded-sm ${at < current ? "bg-accent" : at < desired ? "bg-accent/40" : "bg-raised"}`} />)}
        </div>
        <ul className="mt-3 flex flex-col gap-1.5 text-[13px]">
          {metrics.map(readingOf).map((metric) => {
            const value = now.find((one) => one.name === metric.name)?.current;
            const isShare = metric.target?.averageUtilization !== undefined;
            const goal = isShare ? `${metric.target?.averageUtilization}%` : (metric.target?.averageValue ?? metric.target?.value);
            const shown = isShare ? value?.averageUtilization !== undefined && `${value.averageUtilization}%` : (value?.averageValue ?? value?.value);
            const share = isShare ? (value?.averageUtilization ?? 0) / (metric.target?.averageUtilization ?? 1) : parseQuantity(value?.averageValue) / parseQuantity(metric.target?.averageValue);
            return (
              <li key={metric.name} className="grid grid-cols-[minmax(60px,auto)_1fr_auto] items-center gap-3">
                <span className="truncate text-dim">{metric.name}</span>
                <span className="h-1.5 overflow-hidden rounded-full bg-raised"><span className={`block h-full rounded-full ${share > 1.1 ? "bg-warn" : "bg-accent"}`} style={{ width: `${Math.min(100, (share || 0) * 50)}%` }} /></span>
                <span className="numbers">{shown || "unknown"} <span className="text-faint">of {goal}</span></span>
              </li>
            );
          })}
        </ul>
        <ul className="mt-3 flex flex-wrap gap-x-4 gap-y-1 text-[12px]">
          {conditions.map((one) => <li key={one.type} title={one.message} className={one.type === "ScalingLimited" ? (one.status === "True" ? "text-warn" : "text-faint") : toneOf(one.status)}>{one.type}: {one.reason}</li>)}
        </ul>
      </div>
    </Panel>
  );
}
