// Values of the fields among what matches; a click puts one into the query, or
// leaves it out.

import { useState } from "react";
import type { FacetsAnswer } from "../../api/logs";
import { Ending } from "../../components/Ending";
import { count } from "../../format/quantity";
import { clause, hasClause } from "../../query/build";
import { colourOf } from "./level";

const ORDER = ["level", "namespace", "pod", "container", "node"];

interface Props {
  answer: FacetsAnswer | undefined;
  query: string;
  /** Puts a clause into the query, or takes it out. */
  onToggle: (part: string) => void;
}

export function Facets({ answer, query, onToggle }: Props) {
  const [open, setOpen] = useState(false);
  const groups = ORDER.map((name) => [name, answer?.facets[name] ?? []] as const).filter(([, values]) => values.length > 0);
  return (
    <aside aria-label="Facets" className="panel self-start overflow-auto p-3 text-[12.5px] max-lg:order-first max-lg:w-full max-lg:p-1 lg:max-h-full">
      <button type="button" aria-expanded={open} className="flex min-h-9 w-full items-center justify-between px-3 font-medium text-dim lg:hidden" onClick={() => setOpen(!open)}>
        Facets: level, namespace, Pod, node <span aria-hidden="true">{open ? "−" : "+"}</span>
      </button>
      <div className={`flex flex-col gap-3 max-lg:p-2 ${open ? "" : "max-lg:hidden"}`}>
        {groups.map(([name, values]) => (
          <section key={name} aria-label={name}>
            <h3 className="mb-1 px-1.5 text-[11px] font-semibold tracking-wide text-faint uppercase">{name}</h3>
            <ul>{values.map((one) => <Value key={one.value} name={name} value={one.value} number={one.count} query={query} onToggle={onToggle} />)}</ul>
          </section>
        ))}
        {groups.length === 0 && <p className="px-1.5 text-faint">{answer ? "Nothing to divide." : "Loading…"}</p>}
      </div>
    </aside>
  );
}

function Value({ name, value, number, query, onToggle }: { name: string; value: string; number: number; query: string; onToggle: Props["onToggle"] }) {
  const part = clause(name, value);
  const on = hasClause(query, part);
  return (
    <li className={`group relative flex items-center rounded-md hover:bg-raised ${on ? "bg-accent/12 text-accent" : ""}`}>
      <button type="button" aria-pressed={on} title={on ? `Take ${part} out of the query` : `Only ${part}`} onClick={() => onToggle(part)}
        className="flex min-w-0 flex-1 items-center gap-2 px-1.5 py-0.5 text-left max-lg:py-2">
        {name === "level" && <span className="size-2 shrink-0 rounded-full" style={{ background: colourOf(value) }} />}
        <span className="min-w-0 flex-1"><Ending text={value || "(none)"} /></span>
        <span className={`numbers text-faint ${on ? "" : "lg:group-focus-within:opacity-0 lg:group-hover:opacity-0"}`}>{count(number)}</span>
      </button>
      {!on && (
        <button type="button" aria-label={`Leave out ${part}`} title={`Leave out ${part}`} onClick={() => onToggle(`NOT ${part}`)}
          className="w-9 shrink-0 py-2 text-center text-faint hover:text-bad lg:absolute lg:inset-y-0 lg:right-0 lg:w-6 lg:py-0 lg:opacity-0 lg:group-focus-within:opacity-100 lg:group-hover:opacity-100">−</button>
      )}
    </li>
  );
}
