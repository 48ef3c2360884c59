// SQL over metrics, logs and decisions: editor, table, chart. The statement is in the
// address: who opens it sees its answer, and going back shows the one before.

import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { count } from "../../format/quantity";
import { csv, runSql, type SqlAnswer, withRange } from "../../api/sql";
import { Empty, Problem } from "../../components/Notice";
import { printable } from "../../format/printable";
import { windowOf } from "../../state/scope";
import { useParameter, useScope } from "../../state/useScope";
import { Answer } from "./Answer";
import { Drawing } from "./Drawing";
import { Editor } from "./Editor";
import { EXAMPLES } from "./examples";

export default function Sql() {
  const [scope] = useScope();
  const [query, setQuery] = useParameter("q");
  const [view, setView] = useParameter("view");
  const [text, setText] = useState(query || (EXAMPLES[0]?.sql ?? ""));
  const queries = useQueryClient();
  useEffect(() => {
    if (query) setText(query);
  }, [query]);
  const run = useQuery({
    queryKey: ["sql", query, scope.range],
    enabled: query !== "",
    queryFn: async ({ signal }) => {
      const started = performance.now();
      const { from, to } = windowOf(scope.range, Date.now());
      const answer = await runSql(withRange(query, from, to), signal);
      return { answer, took: Math.round(performance.now() - started) };
    },
    placeholderData: keepPreviousData,
    refetchOnWindowFocus: false,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  const start = (sql: string) => {
    if (sql.trim() === "") return;
    if (sql !== query) setQuery(sql);
    else void queries.invalidateQueries({ queryKey: ["sql", sql] });
  };
  const answer = run.error ? undefined : run.data?.answer;
  const shown = view === "chart" ? "chart" : "table";
  const tab = (name: string) => (
    <button key={name} type="button" aria-pressed={shown === name} className={`button capitalize ${shown === name ? "border-accent text-accent" : ""}`}
      onClick={() => setView(name === "table" ? "" : name, { replace: true })}>{name}</button>
  );
  return (
    <div className="flex flex-col gap-3">
      <div className="panel overflow-hidden focus-within:border-accent">
        <Editor value={text} onChange={setText} onRun={start} />
        <div className="flex flex-wrap items-center gap-2 border-t border-line p-2">
          <button type="button" className="button button-primary" disabled={run.isFetching} onClick={() => start(text)}>{run.isFetching ? "Running…" : "Run"}<kbd className="font-sans text-[11px] opacity-75 max-md:hidden">Ctrl+Enter</kbd></button>
          <select aria-label="Examples" className="field max-w-60" value="" onChange={(event) => { const sql = EXAMPLES[Number(event.target.value)]?.sql ?? ""; setText(sql); start(sql); }}>
            <option value="" disabled>Examples</option>
            {EXAMPLES.map((example, at) => <option key={example.name} value={at}>{example.name}</option>)}
          </select>
          <span className="text-[12px] text-faint">Tables: node, pod, container, logs, decisions; columns describes them. $from and $to are the page's time range.</span>
        </div>
      </div>
      {run.error && <Problem error={run.error} />}
      {answer ? (
        <section className="panel overflow-hidden" aria-label="Result" aria-busy={run.isFetching}>
          <header className="flex flex-wrap items-center gap-2 border-b border-line p-2">
            {tab("table")}{tab("chart")}
            <span className="numbers ml-auto text-[12px] text-faint">{count(answer.rows.length)} {answer.rows.length === 1 ? "row" : "rows"} · {run.data?.took} ms</span>
            <button type="button" className="button" aria-label="Download as CSV" onClick={() => download(answer)}>CSV</button>
          </header>
          {answer.notes?.map((note) => <p key={note} role="status" className="border-b border-line px-3 py-1.5 text-[12px] text-faint">{printable(note)}</p>)}
          {answer.rows.length === 0 ? <Empty>The statement is right and gives no rows. Is the time range wide enough?</Empty>
            : shown === "table" ? <Answer answer={answer} /> : <Drawing answer={answer} />}
        </section>
      ) : !run.error && <Empty>{run.isFetching ? "Running…" : "Run the statement, or choose an example."}</Empty>}
    </div>
  );
}

function download(answer: SqlAnswer): void {
  const address = URL.createObjectURL(new Blob([csv(answer)], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = "tiphys.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
