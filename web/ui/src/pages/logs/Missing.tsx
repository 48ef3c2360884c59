// What an answer does not hold, and why.

import type { NodeError } from "../../api/logs";

export function Missing({ partial, restricted, dropped = 0 }: { partial: NodeError[]; restricted: boolean; dropped?: number }) {
  const line = "border-b border-line bg-warn/10 px-4 py-1.5 text-[12.5px] text-warn";
  return (
    <>
      {partial.map(({ node, error }) => <p key={`${node} ${error}`} role="status" className={line}>Records of {node || "a node"} are missing: {error}</p>)}
      {restricted && <p role="status" className={line}>Your rights reach some namespaces only; the records of the others are hidden.</p>}
      {dropped > 0 && <p role="status" className={line}>{dropped} records were passed over: they came faster than this page could take them.</p>}
    </>
  );
}
