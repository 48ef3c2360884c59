// Values of the fields among what matches; a click puts one into the query.

import type { FacetsAnswer } from "../../api/logs";
import { count } from "../../format/quantity";
import { clause, hasClause } from "../../query/build";
import { colourOf } from "./level";

const ORDER = ["level", "namespace", "pod", "container", "node"];

export function Facets({ answer, query, onToggle }: { answer: FacetsAnswer | undefined; query: string; onToggle: (part: string) => void }) {
  const groups = ORDER.map((name) => [name, answer?.facets[name] ?? []] as const).filter(([, values]) => values.length > 0);
  return (
    <aside aria-label="Facets" className="panel flex flex-col gap-3 p-3 text-[12.5px] self-start">
      {groups.map(([name, values]) => (
        <section key={name}>
          <h3 className="mb-1 px-1.5 text-[11px] font-semibold tracking-wide text-faint uppercase">{name}</h3>
          <ul>
            {values.map(({ value, count: number }) => {
              const part = clause(name, value);
              const on = hasClause(query, part);
              return (
                <li key={value}>
                  <button type="button" aria-pressed={on} title={part} onClick={() => onToggle(part)}
                    className={`flex w-full items-center gap-2 rounded-md px-1.5 py-0.5 text-left hover:bg-raised ${on ? "bg-accent/12 text-accent" : ""}`}>
                    {name === "level" && <span className="size-2 rounded-full" style={{ background: colourOf(value) }} />}
                    <span className="min-w-0 flex-1 truncate">{value || "(none)"}</span>
                    <span className="numbers text-faint">{count(number)}</span>
                  </button>
                </li>
              );
            })}
          </ul>
        </section>
      ))}
      {groups.length === 0 && <p className="px-1.5 text-faint">Nothing to divide.</p>}
    </aside>
  );
}
