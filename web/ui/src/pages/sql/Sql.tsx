// SQL over metrics and decisions: editor, table, chart.

import { useMutation } from "@tanstack/react-query";
import { lazy, useMemo, useState } from "react";
import { type Cell, csv, isNumber, isTime, runSql, type SqlAnswer, withRange } from "../../api/sql";
import { Empty, Problem } from "../../components/Notice";
import { type Column, RowList } from "../../components/RowList";
import { printable } from "../../format/printable";
import { count } from "../../format/quantity";
import { pivot } from "../../query/series";
import { windowOf } from "../../state/scope";
import { useParameter, useScope } from "../../state/useScope";
import { Editor } from "./Editor";
import { EXAMPLES } from "./examples";

const Chart = lazy(() => import("../../components/Chart"));

export default function Sql() {
  const [scope] = useScope();
  const [query, setQuery] = useParameter("q");
  const [text, setText] = useState(query || (EXAMPLES[0]?.sql ?? ""));
  const [view, setView] = useState("table");
  const run = useMutation({
    mutationFn: async (sql: string) => {
      const started = performance.now();
      const { from, to } = windowOf(scope.range, Date.now());
      const answer = await runSql(withRange(sql, from, to));
      return { answer, took: Math.round(performance.now() - started) };
    },
  });
  const start = (sql: string) => {
    setQuery(sql, { replace: true });
    run.mutate(sql);
  };
  const answer = run.data?.answer;
  const tab = (name: string) => <button key={name} type="button" aria-pressed={view === name} className={`button capitalize ${view === name ? "text-accent" : ""}`} onClick={() => setView(name)}>{name}</button>;
  return (
    <div className="flex flex-col gap-3">
      <div className="panel overflow-hidden">
        <Editor value={text} onChange={setText} onRun={start} />
        <div className="flex flex-wrap items-center gap-2 border-t border-line p-2">
          <button type="button" className="button button-primary" disabled={run.isPending} onClick={() => start(text)}>{run.isPending ? "Running…" : "Run"}<kbd className="font-sans text-[11px] opacity-75">Ctrl+Enter</kbd></button>
          <select aria-label="Examples" className="field max-w-60" value="" onChange={(event) => { const sql = EXAMPLES[Number(event.target.value)]?.sql ?? ""; setText(sql); start(sql); }}>
            <option value="" disabled>Examples</option>
            {EXAMPLES.map((example, at) => <option key={example.name} value={at}>{example.name}</option>)}
          </select>
          <span className="text-[12px] text-faint max-md:hidden">Tables: node, pod, container, decisions. $from and $to are the page's time range.</span>
        </div>
      </div>
      {run.error && <Problem error={run.error} />}
      {answer && (
        <section className="panel overflow-hidden" aria-label="Result">
          <header className="flex flex-wrap items-center gap-2 border-b border-line p-2">
            {tab("table")}{tab("chart")}
            <span className="numbers ml-auto text-[12px] text-faint">{count(answer.rows.length)} rows · {run.data?.took} ms</span>
            <button type="button" className="button" onClick={() => download(answer)}>CSV</button>
          </header>
          {view === "table" ? <Answer answer={answer} /> : <Lines answer={answer} />}
        </section>
      )}
    </div>
  );
}

function Answer({ answer }: { answer: SqlAnswer }) {
  const columns = useMemo(() => answer.columns.map(({ name, type }, at): Column<Cell[]> => ({
    name, width: isTime(type) ? "190px" : "minmax(120px, 1fr)", right: isNumber(type),
    show: (row) => <span className={row[at] == null ? "text-faint" : ""} title={String(row[at])}>{row[at] == null ? "null" : printable(String(row[at]))}</span>,
  })), [answer]);
  return <RowList columns={columns} rows={answer.rows} keyOf={(_, at) => String(at)} minWidth={answer.columns.length * 140} />;
}

function Lines({ answer }: { answer: SqlAnswer }) {
  const [figure, setFigure] = useState(0);
  const time = answer.columns.findIndex((column) => isTime(column.type));
  const figures = answer.columns.flatMap((column, at) => (isNumber(column.type) ? [at] : []));
  const names = answer.columns.flatMap((column, at) => (!isNumber(column.type) && !isTime(column.type) ? [at] : []));
  const value = figures[figure] ?? figures[0] ?? -1;
  const series = useMemo(() => pivot(answer.rows.map((row): [Cell, Cell, Cell] => [
    row[time] ?? null, names.map((at) => row[at]).join(" ") || (answer.columns[value]?.name ?? ""), row[value] ?? null,
  ]), 120_000), [answer, value]);
  if (time < 0 || value < 0) return <Empty>A chart needs a column of time and a column of numbers.</Empty>;
  return (
    <div>
      {figures.length > 1 && <select aria-label="Figure" className="field m-2" value={figure} onChange={(event) => setFigure(Number(event.target.value))}>{figures.map((at, number) => <option key={at} value={number}>{answer.columns[at]?.name}</option>)}</select>}
      <Chart series={series} height={300} format={(number) => (Number.isFinite(number) ? number.toLocaleString("en", { maximumSignificantDigits: 4, notation: Math.abs(number) >= 1e5 ? "compact" : "standard" }) : "–")} />
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
