// One object of any other kind: what it is, its Pods, its events, all of it as JSON.

import { useQuery } from "@tanstack/react-query";
import { API, getJson } from "../../api/http";
import { objectPath, PODS, workload } from "../../api/kinds";
import type { Workload } from "../../api/objects";
import { Empty, Panel, Problem } from "../../components/Notice";
import { age } from "../../format/time";
import { useLiveTable } from "../../live/useLive";
import { Events } from "./Events";
import { Facts, labelsOf } from "./Facts";
import { TableRows, useNow } from "./TableRows";

export function ObjectPage({ plural, namespace, name }: { plural: string; namespace: string; name: string }) {
  const kind = workload(plural);
  const now = useNow();
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
        <Panel title={kind.kind}>
          <Facts facts={[
            ["Age", age(shown.metadata.creationTimestamp, now)],
            ["Replicas", shown.status?.replicas === undefined ? undefined : `${shown.status.readyReplicas ?? 0} of ${shown.spec?.replicas ?? shown.status.replicas} ready`],
            ["Labels", labelsOf(shown.metadata.labels)],
            ...(shown.status?.conditions ?? []).map((one): [string, string] => [one.type, `${one.status} ${one.message ?? one.reason ?? ""}`]),
          ]} />
        </Panel>
      )}
      {selector && <Owned namespace={namespace} labels={labelsOf(selector).replaceAll(", ", ",")} />}
      <Events namespace={namespace} name={name} kind={kind.kind} />
      {shown && (
        <details className="panel px-4 py-2.5 text-[13px]"><summary className="font-semibold">All of it</summary>
          <pre className="mt-2 max-h-[60vh] overflow-auto font-mono text-[12px]">{JSON.stringify(shown, null, 2)}</pre>
        </details>
      )}
    </div>
  );
}

function Owned({ namespace, labels }: { namespace: string; labels: string }) {
  const pods = useLiveTable(PODS, { namespace, labels });
  return <Panel title="Pods" note={pods.items.length}><TableRows kind={PODS} head={pods.head ?? []} rows={pods.items} /></Panel>;
}
