// One Pod: its containers, figures, events and logs.

import { Link } from "wouter";
import { PODS } from "../../api/kinds";
import type { ContainerState, Pod } from "../../api/objects";
import { literal } from "../../api/sql";
import { Empty, Panel, Problem, Status } from "../../components/Notice";
import { UsageChart } from "../../components/UsageChart";
import { byteRate, bytes, cores } from "../../format/quantity";
import { age } from "../../format/time";
import { useLiveObjects } from "../../live/useLive";
import { clause } from "../../query/build";
import { useHref } from "../../state/useScope";
import { Results } from "../logs/Results";
import { Events } from "./Events";
import { annotationsOf, Facts, labelsOf, Owners } from "./Facts";
import { useNow } from "./TableRows";

export function PodPage({ namespace, name }: { namespace: string; name: string }) {
  const list = useLiveObjects<Pod>(PODS, { namespace, fields: `metadata.name=${name}` });
  const now = useNow();
  const href = useHref();
  const pod = list.items[0];
  const where = `namespace = ${literal(namespace)} and pod = ${literal(name)}`;
  return (
    <div className="flex flex-col gap-3 md:gap-4">
      <h2 className="text-lg font-semibold tracking-tight break-all"><span className="text-faint">Pod {namespace}/</span>{name}</h2>
      {list.error && <Problem error={list.error} />}
      {pod ? (
        <div className="grid gap-3 md:gap-4 lg:grid-cols-2">
          <Panel title="Pod" note={<Status text={statusOf(pod)} />}>
            <Facts facts={[
              ["Node", pod.spec?.nodeName && <Link href={href(`/nodes/${pod.spec.nodeName}`)} className="link">{pod.spec.nodeName}</Link>], ["Address", pod.status?.podIP], ["Age", age(pod.metadata.creationTimestamp, now)],
              ["Quality", pod.status?.qosClass], ["Service account", pod.spec?.serviceAccountName],
              ["Owner", pod.metadata.ownerReferences && <Owners of={pod.metadata} />],
              ["Labels", labelsOf(pod.metadata.labels)], ["Annotations", annotationsOf(pod.metadata.annotations)], ["Message", pod.status?.message],
            ]} />
          </Panel>
          <Containers pod={pod} now={now} />
        </div>
      ) : list.state !== "refused" && <Empty>{list.state === "loading" ? "Loading…" : "There is no such Pod any more; its logs and figures stay."}</Empty>}
      <div className="grid gap-3 md:gap-4 lg:grid-cols-2">
        <UsageChart title="CPU" table="container" figure="cpu_cores" by="container" where={where} format={cores} />
        <UsageChart title="Memory" table="container" figure="memory_working_set_bytes" by="container" where={where} format={bytes} />
        <UsageChart title="Disk writes" table="container" figure="disk_write_bytes_per_second" by="container" where={where} format={byteRate} />
        <UsageChart title="Network received" table="pod" figure="network_receive_bytes_per_second" by="pod" where={where} format={byteRate} />
      </div>
      <Events namespace={namespace} name={name} kind="Pod" />
      <Panel title="Logs" note={<Link href={href("/logs", { q: clause("pod", name), ns: namespace })} className="link">Open in Logs</Link>}><Results query={clause("pod", name)} namespace={namespace} onAdd={undefined} /></Panel>
    </div>
  );
}

/** As kubectl says it: what a container waits for or ended with comes before the phase. */
function statusOf({ metadata, status = {} }: Pod): string {
  if (metadata.deletionTimestamp) return "Terminating";
  const states = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])].map((one) => one.state);
  const waits = states.find((state) => state?.waiting?.reason)?.waiting?.reason;
  const ended = status.phase === "Succeeded" ? undefined : states.find((state) => state?.terminated?.exitCode)?.terminated;
  return status.reason ?? waits ?? (ended && (ended.reason ?? `ExitCode:${ended.exitCode}`)) ?? status.phase ?? "Unknown";
}

function stateOf(state: ContainerState | undefined): string {
  if (state?.running) return "Running";
  if (state?.waiting) return state.waiting.reason ?? "Waiting";
  const end = state?.terminated;
  return end ? `${end.reason ?? "Terminated"} (${end.exitCode})` : "Unknown";
}

function Containers({ pod, now }: { pod: Pod; now: number }) {
  const specs = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const amounts = (values: Record<string, string> | undefined) => Object.entries(values ?? {}).map(([key, value]) => `${key} ${value}`).join(", ") || "none";
  return (
    <Panel title="Containers">
      <ul>
        {specs.map((container) => {
          const status = statuses.find((one) => one.name === container.name);
          const last = status?.lastState?.terminated;
          return (
            <li key={container.name} className="border-b border-line/50 px-4 py-2.5 text-[13px]">
              <p className="flex justify-between gap-2"><span className="font-medium">{container.name}</span><Status text={stateOf(status?.state)} /></p>
              <p className="truncate font-mono text-[12px] text-dim" title={container.image}>{container.image}</p>
              <p className="text-faint">
                {status?.ready ? "ready" : "not ready"} · {status?.restartCount ?? 0} restarts
                {status?.state?.running && ` · up ${age(status.state.running.startedAt, now)}`}
                {last && ` · ended before: ${last.reason ?? ""} (${last.exitCode})`}
              </p>
              <p className="text-faint">requests {amounts(container.resources?.requests)} · limits {amounts(container.resources?.limits)}</p>
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}
