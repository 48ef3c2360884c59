// One decision: from how many to how many, and why; opened, each metric's reading.

import { clock, dayClock } from "../../format/time";
import { withZone } from "../../query/series";
import type { Group } from "./decisions";

const figure = (value: number | null | undefined) => (value == null ? "–" : value.toLocaleString("en", { maximumFractionDigits: 3 }));

export function DecisionRow({ group }: { group: Group }) {
  const change = group.desired - group.current;
  const tone = change > 0 ? "bg-ok/15 text-ok" : change < 0 ? "bg-calm/15 text-calm" : "bg-raised text-dim";
  const time = Date.parse(withZone(group.time));
  return (
    <li data-decision className="border-b border-line/50 text-[13px]">
      <details>
        <summary className="grid grid-cols-[auto_1fr] items-baseline gap-x-3 gap-y-0.5 px-4 py-2 hover:bg-raised max-md:py-3 md:grid-cols-[76px_72px_180px_1fr_auto]">
          <span className="numbers text-faint" title={dayClock(time)}>{clock(time)}</span>
          <span className={`numbers w-fit rounded-md px-1.5 text-center font-medium ${tone}`}>{group.current === group.desired ? `stay ${group.desired}` : `${group.current} → ${group.desired}`}</span>
          <span className="truncate max-md:col-span-2"><span className="text-faint">{group.namespace}/</span>{group.autoscaler}</span>
          <span className="text-dim max-md:col-span-2">{group.reason}</span>
          <span className="numbers text-[12px] text-faint">{group.count > 1 ? `×${group.count}` : ""}</span>
        </summary>
        <div className="overflow-x-auto px-4 pt-2 pb-3">
          <p className="numbers text-faint">proposed {group.proposed} · after stabilization {group.stabilized} · limited by {group.limitedBy || "nothing"} · newest sample {group.sampleAge} ms old</p>
          <table className="mt-1.5 text-[12.5px]">
            <thead><tr className="text-left text-faint">{["Metric", "Now", "Target", "Ratio", "Proposal", "Pods"].map((name) => <th key={name} className="pr-6 font-medium">{name}</th>)}</tr></thead>
            <tbody className="numbers">
              {group.metrics.map((metric) => (
                <tr key={metric.name}>
                  <td className="pr-6">{metric.name}</td><td className="pr-6">{figure(metric.current)}</td><td className="pr-6">{figure(metric.target)} {metric.targetType}</td>
                  <td className="pr-6">{figure(metric.ratio)}</td><td className="pr-6">{figure(metric.proposal)}</td><td>{metric.error || metric.podsCounted}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </li>
  );
}
