// The rows of a statement as a table; a click on a column's name sorts.

import { useMemo } from "react";
import { type Cell, isNumber, type SqlAnswer } from "../../api/sql";
import { type Column, RowList } from "../../components/RowList";
import { printable } from "../../format/printable";

/** Columns are as wide as their longest text among the first rows, within bounds. */
function widthOf(answer: SqlAnswer, at: number): number {
  const texts = answer.rows.slice(0, 200).map((row) => String(row[at] ?? "").length);
  return Math.min(420, Math.max(70, 24 + 8.2 * Math.max(answer.columns[at]?.name.length ?? 0, ...texts)));
}

export function Answer({ answer }: { answer: SqlAnswer }) {
  const widths = useMemo(() => answer.columns.map((_, at) => widthOf(answer, at)), [answer]);
  const columns = useMemo(() => answer.columns.map(({ name, type }, at): Column<Cell[]> => ({
    name, width: `minmax(${widths[at]}px, ${widths[at]}fr)`, right: isNumber(type),
    sortBy: (row) => (row[at] == null ? Number.NEGATIVE_INFINITY : typeof row[at] === "number" ? row[at] : String(row[at])),
    show: (row) => <span className={row[at] == null ? "text-faint" : ""} title={String(row[at])}>{row[at] == null ? "null" : printable(String(row[at]))}</span>,
  })), [answer, widths]);
  return <RowList label="Rows" columns={columns} rows={answer.rows} keyOf={(_, at) => String(at)} minWidth={widths.reduce((sum, width) => sum + width, 16)} />;
}
