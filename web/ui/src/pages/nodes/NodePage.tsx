// One node: its conditions, room, figures and Pods.

import { NODES, PODS } from "../../api/kinds";
import type { Node } from "../../api/objects";
import { literal } from "../../api/sql";
import { Panel, Problem } from "../../components/Notice";
import { bytes, parseQuantity } from "../../format/quantity";
import { age } from "../../format/time";
import { BESIDE, useLiveObjects, useLiveTable } from "../../live/useLive";
import { Events } from "../workloads/Events";
import { Facts, labelsOf } from "../workloads/Facts";
import { TableRows, useNow } from "../workloads/TableRows";
import { NodeCharts } from "./Nodes";

export function NodePage({ name }: { name: string }) {
  const list = useLiveObjects<Node>(NODES, { fields: `metadata.name=${name}` }, BESIDE);
  const pods = useLiveTable(PODS, { fields: `spec.nodeName=${name}` });
  const now = useNow();
  const node = list.items[0];
  return (
    <div className="flex flex-col gap-3 md:gap-4">
      <h2 className="text-lg font-semibold tracking-tight"><span className="text-faint">Node </span>{name}</h2>
      {list.error && <Problem error={list.error} />}
      {node && (
        <div className="grid gap-3 md:gap-4 lg:grid-cols-2">
          <Panel title="Node">
            <Facts facts={[
              ["Address", node.status?.addresses?.map((one) => one.address).join(", ")], ["Pod addresses", node.spec?.podCIDR],
              ["Age", age(node.metadata.creationTimestamp, now)], ["CPU", `${node.status?.allocatable?.cpu ?? "?"} of ${node.status?.capacity?.cpu ?? "?"} cores for Pods`],
              ["Memory", bytes(parseQuantity(node.status?.allocatable?.memory))], ["Kubelet", node.status?.nodeInfo?.kubeletVersion],
              ["Runtime", node.status?.nodeInfo?.containerRuntimeVersion], ["System", node.status?.nodeInfo?.osImage], ["Kernel", node.status?.nodeInfo?.kernelVersion],
              ["Taints", node.spec?.taints?.map((one) => `${one.key}:${one.effect}`).join(", ")], ["Labels", labelsOf(node.metadata.labels)],
            ]} />
          </Panel>
          <Panel title="Conditions">
            <Facts facts={(node.status?.conditions ?? []).map((one): [string, string] => [one.type, `${one.status} · ${one.message ?? one.reason ?? ""}`])} />
          </Panel>
        </div>
      )}
      <NodeCharts where={`node = ${literal(name)}`} />
      <Panel title="Pods" note={pods.items.length}><TableRows kind={PODS} head={pods.head ?? []} rows={pods.items} /></Panel>
      <Events namespace="" name={name} kind="Node" />
    </div>
  );
}
