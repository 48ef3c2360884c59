// Time range, namespace and labels of all pages.

import { useQuery } from "@tanstack/react-query";
import { API, getJson } from "../api/http";
import { dayClock } from "../format/time";
import { RANGES } from "../state/scope";
import { useScope } from "../state/useScope";

interface Names {
  items: { metadata: { name: string } }[];
}

export function ScopeBar() {
  const [scope, setScope] = useScope();
  const names = useQuery({
    queryKey: ["namespaces"],
    queryFn: ({ signal }) => getJson<Names>(`${API}/api/v1/namespaces?limit=500`, signal),
    refetchInterval: 30_000,
  });
  const list = names.data?.items.map((item) => item.metadata.name) ?? [];
  const fixed = "from" in scope.range ? scope.range : undefined;
  return (
    <div className="flex items-center gap-2 max-md:[&>*]:text-[12px]">
      {names.error ? (
        <input aria-label="Namespace" className="field w-32" placeholder="Namespace" spellCheck={false} autoCapitalize="off" key={`namespace ${scope.namespace}`} defaultValue={scope.namespace}
          onKeyDown={(event) => event.key === "Enter" && setScope({ namespace: event.currentTarget.value.trim() })}
          onBlur={(event) => event.target.value.trim() !== scope.namespace && setScope({ namespace: event.target.value.trim() })} />
      ) : (
        <select aria-label="Namespace" className="field min-w-0 max-w-44 flex-[1.4] max-md:px-1.5" value={scope.namespace} onChange={(event) => setScope({ namespace: event.target.value })}>
          <option value="">All namespaces</option>
          {[...new Set([...list, scope.namespace])].filter(Boolean).map((name) => <option key={name}>{name}</option>)}
        </select>
      )}
      <input aria-label="Labels" className="field w-20 min-w-0 flex-1 max-md:px-2 sm:w-40" placeholder="Labels: app=web" spellCheck={false} autoCapitalize="off" key={`labels ${scope.labels}`} defaultValue={scope.labels}
        onKeyDown={(event) => event.key === "Enter" && setScope({ labels: event.currentTarget.value.trim() })}
        onBlur={(event) => event.target.value.trim() !== scope.labels && setScope({ labels: event.target.value.trim() })} />
      <select aria-label="Time range" className="field min-w-0 max-md:max-w-28 max-md:px-1.5" value={fixed ? "fixed" : "last" in scope.range ? scope.range.last : ""}
        onChange={(event) => event.target.value !== "fixed" && setScope({ range: { last: event.target.value } })}>
        {fixed && <option value="fixed">{`${dayClock(fixed.from)} – ${dayClock(fixed.to)}`}</option>}
        {RANGES.map((range) => <option key={range} value={range}>{`Last ${range}`}</option>)}
      </select>
      {fixed && <button type="button" className="button" onClick={() => setScope({ range: { last: "15m" } })}>Back to now</button>}
    </div>
  );
}
