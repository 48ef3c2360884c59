// One object of any other kind: what it is, its Pods, its events, all of it as JSON.

import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { API, getJson } from "../../api/http";
import { objectPath, PODS, workload } from "../../api/kinds";
import type { Workload } from "../../api/objects";
import { Empty, Panel, Problem } from "../../components/Notice";
import { printable } from "../../format/printable";
import { age } from "../../format/time";
import { useLiveTable } from "../../live/useLive";
import { useHref } from "../../state/useScope";
import { Events } from "./Events";
import { annotationsOf, Facts, labelsOf, Owners } from "./Facts";
import { TableRows, useNow } from "./TableRows";
import { usePodUsage } from "./usePodUsage";

export function ObjectPage({ plural, namespace, name }: { plural: string; namespace: string; name: string }) {
  const kind = workload(plural);
  const now = useNow();
  const href = useHref();
  const object = useQuery({
    queryKey: ["object", plural, namespace, name],
    queryFn: ({ signal }) => getJson<Workload>(`${API}${objectPath(kind ?? PODS, namespace, name)}`, signal),
    enabled: kind !== undefined,
    refetchInterval: 3000,
  });
  if (!kind) return <Empty>There is no such kind here.</Empty>;
  const selector = object.data?.spec?.selector?.matchLabels;
  const shown = object.data;
  return (
    <div className="flex flex-col gap-3 md:gap-4">
      <h2 className="text-lg font-semibold tracking-tight break-all"><span className="text-faint">{kind.kind} {namespace}/</span>{name}</h2>
      {object.error && <Problem error={object.error} />}
      {shown && (
        <Panel title={kind.kind} note={selector && <Link href={href("/logs", { ns: namespace, labels: labelsOf(selector).replaceAll(", ", ",") })} className="link">Logs of its Pods</Link>}>
          <Facts facts={[
            ["Age", age(shown.metadata.creationTimestamp, now)],
            ["Replicas", shown.status?.replicas === undefined ? undefined : `${shown.status.readyReplicas ?? 0} of ${shown.spec?.replicas ?? shown.status.replicas} ready`],
            ["Owner", shown.metadata.ownerReferences && <Owners of={shown.metadata} />],
            ["Labels", labelsOf(shown.metadata.labels)], ["Annotations", annotationsOf(shown.metadata.annotations)],
            ...(shown.status?.conditions ?? []).map((one): [string, string] => [one.type, `${one.status} ${one.message ?? one.reason ?? ""}`]),
          ]} />
        </Panel>
      )}
      {selector && <Owned namespace={namespace} labels={labelsOf(selector).replaceAll(", ", ",")} />}
      <Events namespace={namespace} name={name} kind={kind.kind} />
      {shown && (
        <details className="panel px-4 py-2.5 text-[13px]"><summary className="font-semibold">All of it</summary>
          <pre tabIndex={0} className="mt-2 max-h-[60vh] overflow-auto font-mono text-[12px]">{printable(JSON.stringify({ ...shown, metadata: { ...shown.metadata, managedFields: undefined } }, null, 2))}</pre>
        </details>
      )}
    </div>
  );
}

function Owned({ namespace, labels }: { namespace: string; labels: string }) {
  const pods = useLiveTable(PODS, { namespace, labels });
  const usage = usePodUsage(namespace, true);
  return <Panel title="Pods" note={pods.items.length}><TableRows kind={PODS} head={pods.head ?? []} rows={pods.items} extra={usage} /></Panel>;
}
