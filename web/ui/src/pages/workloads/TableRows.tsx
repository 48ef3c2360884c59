// Table rows of any kind. Names lead to details; durations go on by themselves.

import { useEffect, useState } from "react";
import { Link } from "wouter";
import type { Kind } from "../../api/kinds";
import { type ColumnDefinition, keyOf, type Row } from "../../api/table";
import { Ending } from "../../components/Ending";
import { Status } from "../../components/Notice";
import { type Column, RowList } from "../../components/RowList";
import { age, movedOn } from "../../format/time";
import { printable } from "../../format/printable";
import { useNarrow } from "../../state/narrow";
import { useHref } from "../../state/useScope";

const ON_A_PHONE = new Set(["Name", "Ready", "Status", "Reason", "Message", "Type"]);
const WIDTHS: Record<string, string> = {
  Ready: "minmax(60px, .5fr)", Status: "minmax(110px, 1fr)", Restarts: "minmax(100px, .8fr)", Age: "70px", Message: "minmax(160px, 4fr)",
  "Last Seen": "minmax(80px, .9fr)", Object: "minmax(120px, 1.8fr)", Type: "80px",
};
const NARROW_WIDTHS: Record<string, string> = { Ready: "56px", Status: "minmax(96px, auto)", Name: "minmax(0, 1fr)" };
/** Columns with durations that were true when the row came. */
const SINCE = new Set(["Restarts", "Last Seen"]);

/** A clock for ages. */
export function useNow(every = 5000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every]);
  return now;
}

/** Durations sort by the instant, all else by what is shown. */
function sortBy(column: ColumnDefinition, at: number): (row: Row) => string | number {
  if (column.name === "Age") return (row) => -Date.parse(row.object.metadata.creationTimestamp ?? "");
  return (row) => (typeof row.cells[at] === "number" ? row.cells[at] : String(row.cells[at] ?? ""));
}

interface Props {
  kind: Kind;
  head: ColumnDefinition[];
  rows: Row[];
  extra?: Column<Row>[];
  /** The list is what its page is about: as high as the window allows. */
  tall?: boolean;
}

export function TableRows({ kind, head, rows, extra = [], tall }: Props) {
  const href = useHref();
  const now = useNow();
  const base = kind.plural === "nodes" ? "/nodes" : `/workloads/${kind.plural}`;
  const named = head.some((column) => column.name === "Name" && column.priority === 0);
  const shown = head.map((column, at) => ({ column, at })).filter(({ column }) => column.priority === 0);
  const link = (row: Row) => {
    const { name, namespace } = row.object.metadata;
    const path = namespace ? `${base}/${namespace}/${name}` : `${base}/${name}`;
    return <Link href={href(path)} className="block font-medium max-md:py-2.5 hover:text-accent hover:underline"><Ending text={name} /></Link>;
  };
  const narrow = useNarrow();
  const columns = shown.map(({ column, at }): Column<Row> => ({
    name: column.name,
    width: (narrow && NARROW_WIDTHS[column.name]) || (WIDTHS[column.name] ?? (column.name === "Name" ? "minmax(140px, 2.2fr)" : "minmax(80px, 1fr)")),
    wideOnly: !ON_A_PHONE.has(column.name),
    sortBy: sortBy(column, at),
    show: (row) => {
      const text = printable(String(row.cells[at] ?? ""));
      if (column.name === "Name") return link(row);
      if (column.name === "Status") return <Status text={text} />;
      if (column.name === "Age") return age(row.object.metadata.creationTimestamp, now);
      if (SINCE.has(column.name)) return movedOn(text, now - row.received);
      if (column.name === "Object") return <Ending text={text} />;
      return <span title={text}>{text}</span>;
    },
  }));
  const namespaces: Column<Row>[] = kind.namespaced && named
    ? [{ name: "Namespace", width: "minmax(90px, 1fr)", wideOnly: true, sortBy: (row) => row.object.metadata.namespace ?? "", show: (row) => <span className="text-dim">{row.object.metadata.namespace}</span> }] : [];
  return <RowList label={kind.title} columns={[...namespaces, ...columns, ...extra]} rows={rows} keyOf={(row) => keyOf(row.object.metadata)}
    {...(tall && !narrow ? { height: "max(340px, calc(100dvh - 174px))" } : {})} />;
}
