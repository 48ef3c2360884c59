// Search over the logs of all nodes: query, histogram, facets, records.

import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { facets, histogram } from "../../api/logs";
import { Problem } from "../../components/Notice";
import { fromLabels, hasClause, withClause, withoutClause } from "../../query/build";
import { refreshEvery, windowOf } from "../../state/scope";
import { useParameter, useScope } from "../../state/useScope";
import { Facets } from "./Facets";
import { Histogram } from "./Histogram";
import { Live } from "./Live";
import { Results } from "./Results";

const HELP = 'error timeout   "connection reset"   /time(d )?out/   pod:web-*   level:>=warn   status:[500 TO 599]   a AND (b OR NOT c)';

export function Logs() {
  const [scope, setScope] = useScope();
  const [query, setQuery] = useParameter("q");
  const [live, setLive] = useParameter("live");
  const [draft, setDraft] = useState(query);
  const queries = useQueryClient();
  useEffect(() => setDraft(query), [query]);
  const labels = fromLabels(scope.labels);
  const whole = labels ? withClause(query, labels) : query;
  const asked = () => {
    const { from, to } = windowOf(scope.range, Date.now());
    const namespace = scope.namespace ? { namespace: scope.namespace } : {};
    return { query: whole, since: new Date(from).toISOString(), until: new Date(to).toISOString(), ...namespace };
  };
  const key = [whole, scope.range, scope.namespace];
  const refetchInterval = refreshEvery(scope.range) && 10_000;
  const options = { refetchInterval, placeholderData: keepPreviousData };
  const bars = useQuery({ queryKey: ["histogram", ...key], queryFn: ({ signal }) => histogram({ ...asked(), buckets: 90 }, signal), ...options });
  const sides = useQuery({ queryKey: ["facets", ...key], queryFn: ({ signal }) => facets({ ...asked(), limit: 12 }, signal), ...options });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (draft.trim() !== query) setQuery(draft.trim());
    // The same question again: what is new?
    else for (const name of ["histogram", "facets", "search"]) void queries.invalidateQueries({ queryKey: [name] });
  };
  const toggle = (part: string) => setQuery(hasClause(query, part) ? withoutClause(query, part) : withClause(query, part));
  const failed = bars.error && !bars.data;
  return (
    <div className="flex flex-col gap-3 lg:h-full">
      <form role="search" onSubmit={submit} className="flex flex-wrap gap-2">
        <input aria-label="Log query" name="query" title={HELP} placeholder={HELP} spellCheck={false} autoComplete="off" autoCapitalize="off"
          className="field h-10 min-w-0 flex-1 font-mono max-md:basis-full max-md:text-[16px]" value={draft} onChange={(event) => setDraft(event.target.value)} />
        <button type="submit" className="button button-primary h-10 px-4 max-md:flex-1">Search</button>
        <button type="button" aria-pressed={live === "1"} className={`button h-10 max-md:flex-1 ${live === "1" ? "border-ok text-ok" : ""}`} onClick={() => setLive(live === "1" ? "" : "1")}>
          <span className={`size-2 rounded-full ${live === "1" ? "animate-pulse bg-ok" : "bg-faint"}`} /> Live
        </button>
      </form>
      {failed && <Problem error={bars.error} />}
      {!failed && (
        <div className="flex min-h-0 flex-1 gap-3 max-lg:flex-col">
          <section aria-label="Records" className="panel flex min-w-0 flex-1 flex-col overflow-hidden">
            <Histogram answer={bars.data} onZoom={(from, to) => setScope({ range: { from, to } })} />
            {live === "1" ? <Live key={`${whole} ${scope.namespace}`} query={whole} namespace={scope.namespace} onAdd={toggle} /> : <Results query={whole} namespace={scope.namespace} onAdd={toggle} />}
          </section>
          <div className="lg:w-[240px] lg:shrink-0 max-lg:order-first"><Facets answer={sides.data} query={query} onToggle={toggle} /></div>
        </div>
      )}
    </div>
  );
}
