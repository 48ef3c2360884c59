// SQL over metrics, logs and decisions.

import { API, postJson } from "./http";

export type Cell = string | number | boolean | null;

export interface SqlAnswer {
  columns: { name: string; type: string }[];
  rows: Cell[][];
  /** What the answer lacks: a node that is missing, rows left out. */
  notes?: string[];
}

export function runSql(sql: string, signal?: AbortSignal): Promise<SqlAnswer> {
  return postJson(`${API}/tiphys/v1/sql`, { sql, format: "columns" }, signal);
}

/** Rows as objects by column name. */
export function objectsOf(answer: SqlAnswer): Record<string, Cell>[] {
  return answer.rows.map((row) => Object.fromEntries(answer.columns.map((column, at) => [column.name, row[at] ?? null])));
}

/** A text as a literal of SQL. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** Milliseconds as a literal of SQL. */
export function instant(ms: number): string {
  return `timestamp '${new Date(ms).toISOString()}'`;
}

/**
 * A statement with `$from` and `$to` put in, so that the time range of the page
 * holds for it. Texts, quoted names and comments are left alone.
 */
export function withRange(sql: string, from: number, to: number): string {
  const pieces = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$(from|to)\b/g;
  return sql.replace(pieces, (piece, name?: string) => (name ? instant(name === "from" ? from : to) : piece));
}

/** CSV as spreadsheets read it; texts that look like formulas are not run by them. */
export function csv(answer: SqlAnswer): string {
  const field = (cell: Cell | undefined) => {
    if (cell == null) return "";
    const text = typeof cell === "string" && /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : String(cell);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [answer.columns.map((column) => field(column.name)), ...answer.rows.map((row) => row.map(field))];
  return `${lines.map((line) => line.join(",")).join("\r\n")}\r\n`;
}

/** A column's values are instants. */
export function isTime(type: string): boolean {
  return type.startsWith("Timestamp");
}

export function isNumber(type: string): boolean {
  return /^(U?Int|Float|Decimal)/.test(type);
}
