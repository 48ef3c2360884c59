// The rows of a statement as a picture: lines when they have a time, else bars.

import { lazy, Suspense, useMemo, useState } from "react";
import { type Cell, isNumber, isTime, type SqlAnswer } from "../../api/sql";
import { Empty } from "../../components/Notice";
import { printable } from "../../format/printable";
import { pivot } from "../../query/series";

const Chart = lazy(() => import("../../components/Chart"));
const MOST_BARS = 50;

function figureText(number: number): string {
  return Number.isFinite(number) ? number.toLocaleString("en", { maximumSignificantDigits: 4, notation: Math.abs(number) >= 1e5 ? "compact" : "standard" }) : "–";
}

export function Drawing({ answer }: { answer: SqlAnswer }) {
  const [chosen, setChosen] = useState("");
  const time = answer.columns.findIndex((column) => isTime(column.type));
  const figures = answer.columns.flatMap((column, at) => (isNumber(column.type) ? [at] : []));
  const names = answer.columns.flatMap((column, at) => (!isNumber(column.type) && !isTime(column.type) ? [at] : []));
  const value = figures.find((at) => answer.columns[at]?.name === chosen) ?? figures[0];
  if (value === undefined) return <Empty>A chart needs a column of numbers; with a column of time it draws lines, else bars.</Empty>;
  const title = answer.columns[value]?.name ?? "";
  const nameOf = (row: Cell[]) => names.map((at) => row[at]).join(" ") || title;
  return (
    <div>
      {figures.length > 1 && (
        <select aria-label="Figure" className="field m-2" value={title} onChange={(event) => setChosen(event.target.value)}>
          {figures.map((at) => <option key={at}>{answer.columns[at]?.name}</option>)}
        </select>
      )}
      {time < 0 ? <Bars rows={answer.rows.map((row) => [nameOf(row), Number(row[value] ?? 0)])} title={title} />
        : <Lines title={title} points={answer.rows.map((row) => [row[time] ?? null, nameOf(row), row[value] ?? null])} />}
    </div>
  );
}

function Lines({ title, points }: { title: string; points: [Cell, Cell, Cell][] }) {
  const series = useMemo(() => pivot(points, 120_000), [points]);
  return <Suspense fallback={<div className="h-80" />}><Chart label={title} series={series} height={300} format={figureText} /></Suspense>;
}

function Bars({ title, rows }: { title: string; rows: [string, number][] }) {
  const most = Math.max(Number.MIN_VALUE, ...rows.map(([, value]) => Math.abs(value)));
  return (
    <ul aria-label={title} className="max-h-[62vh] overflow-auto px-4 py-3 text-[13px]">
      {rows.slice(0, MOST_BARS).map(([name, value], at) => (
        <li key={at} data-bar className="grid grid-cols-[minmax(80px,1fr)_2fr_90px] items-center gap-3 py-1">
          <span className="truncate" title={name}>{printable(name)}</span>
          <span className="h-2.5 rounded-full bg-raised"><span className="block h-full rounded-full bg-accent" style={{ width: `${(100 * Math.abs(value)) / most}%` }} /></span>
          <span className="numbers text-right">{figureText(value)}</span>
        </li>
      ))}
      {rows.length > MOST_BARS && <li className="pt-2 text-faint">{rows.length - MOST_BARS} more rows are in the table.</li>}
    </ul>
  );
}
