// One record whole, with what stood around it in its stream.

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { type LogRecord, search } from "../../api/logs";
import { Problem } from "../../components/Notice";
import { printable } from "../../format/printable";
import { clockMillis } from "../../format/time";
import { clause } from "../../query/build";
import { useHref } from "../../state/useScope";

const AROUND = 15;

function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

export function RecordDetail({ record, onAdd }: { record: LogRecord; onAdd: ((part: string) => void) | undefined }) {
  const [around, setAround] = useState(false);
  const href = useHref();
  const fields = [["level", record.level], ["namespace", record.namespace], ["pod", record.pod], ["container", record.container], ["node", record.node], ["stream", record.stream], ...Object.entries(record.labels ?? {})] as [string, string][];
  return (
    <div className="border-b border-line bg-raised/60 px-4 py-3 text-[12.5px]">
      <pre className="overflow-x-auto font-mono text-[12px] whitespace-pre-wrap">{printable(pretty(record.body))}</pre>
      <div className="mt-2 flex flex-wrap gap-1.5">
        {fields.map(([name, value]) => (
          <button key={name} type="button" disabled={!onAdd} title={onAdd && "Put into the query"} onClick={() => onAdd?.(clause(name, value))}
            className="rounded-md border border-line bg-panel px-1.5 py-0.5 enabled:hover:border-accent max-md:py-1.5"><span className="text-faint">{name} </span>{value}</button>
        ))}
      </div>
      <div className="mt-2 flex gap-2">
        <button type="button" className="button" aria-expanded={around} onClick={() => setAround(!around)}>{around ? "Hide context" : "Show context"}</button>
        <Copy text={record.body} />
        <Link href={href(`/workloads/pods/${record.namespace}/${record.pod}`)} className="button">Open the Pod</Link>
      </div>
      {around && <Context record={record} />}
    </div>
  );
}

function Copy({ text }: { text: string }) {
  const [said, setSaid] = useState("Copy");
  // Only pages of a secure origin may write to the clipboard.
  const copy = () => navigator.clipboard?.writeText(text).then(() => setSaid("Copied"), () => setSaid("Not allowed"));
  return navigator.clipboard && <button type="button" className="button" onClick={copy}>{said}</button>;
}

function Context({ record }: { record: LogRecord }) {
  const lines = useQuery({
    queryKey: ["context", record.id],
    queryFn: async ({ signal }) => {
      const asked = { query: `${clause("pod", record.pod)} ${clause("container", record.container)}`, namespace: record.namespace };
      const later = new Date(Date.parse(record.time) + 30_000).toISOString();
      const [before, after] = await Promise.all([
        search({ ...asked, until: record.time, limit: AROUND }, signal),
        search({ ...asked, since: record.time, until: later, limit: 2000 }, signal),
      ]);
      return [...after.records.slice(-AROUND), ...before.records].reverse();
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  if (lines.error) return <Problem error={lines.error} />;
  if (!lines.data) return <p className="mt-2 text-faint">Loading…</p>;
  return (
    <ol className="mt-2 overflow-x-auto font-mono text-[12px]">
      {lines.data.map((one) => (
        <li key={one.id} className={`whitespace-pre ${one.id === record.id ? "bg-accent/15" : ""}`}><span className="text-faint">{clockMillis(Date.parse(one.time))} </span>{printable(one.body)}</li>
      ))}
    </ol>
  );
}
