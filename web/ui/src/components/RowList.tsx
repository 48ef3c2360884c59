// A long table: only the rows in view exist. Arrow keys move between rows, a
// column's name sorts by it.

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useMemo, useRef, useState } from "react";
import { useNarrow } from "../state/narrow";

export interface Column<T> {
  name: string;
  /** A track of CSS grid. */
  width: string;
  show: (row: T) => ReactNode;
  /** What its name sorts by; without it the column doesn't sort. */
  sortBy?: (row: T) => string | number;
  right?: boolean;
  /** Left out on a phone. */
  wideOnly?: boolean;
}

interface Props<T> {
  /** Names the table to those who don't see it. */
  label: string;
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T, at: number) => string;
  height?: string;
  minWidth?: number;
}

interface Order {
  column: string;
  down: boolean;
}

function sorted<T>(rows: T[], columns: Column<T>[], order: Order | undefined): T[] {
  const value = columns.find((column) => column.name === order?.column)?.sortBy;
  if (!value || !order) return rows;
  const sign = order.down ? -1 : 1;
  return rows.toSorted((left, right) => {
    const [a, b] = [value(left), value(right)];
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
  });
}

export function RowList<T>({ label, columns, rows: given, keyOf, height = "min(62vh, 640px)", minWidth }: Props<T>) {
  const scroller = useRef<HTMLDivElement>(null);
  const [order, setOrder] = useState<Order>();
  const narrow = useNarrow();
  const shown = narrow ? columns.filter((column) => !column.wideOnly) : columns;
  const rows = useMemo(() => sorted(given, columns, order), [given, columns, order]);
  const rowHeight = narrow ? 42 : 34;
  const virtual = useVirtualizer({
    count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => rowHeight, overscan: 12,
  });
  const grid = { gridTemplateColumns: shown.map((column) => column.width).join(" "), minWidth };
  const cell = (column: Column<T>) => `truncate px-2 ${column.right ? "numbers text-right" : ""}`;
  const move = (event: React.KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!step) return;
    const links = [...(scroller.current?.querySelectorAll<HTMLElement>("[data-row] a, [data-row] button") ?? [])];
    const next = links[links.indexOf(document.activeElement as HTMLElement) + step];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  };
  const turn = (column: string) => setOrder((now) => (now?.column !== column ? { column, down: false } : now.down ? undefined : { column, down: true }));
  return (
    <div ref={scroller} role="table" aria-label={label} aria-rowcount={rows.length} onKeyDown={move} tabIndex={0}
      className="overflow-auto text-[13px]" style={{ maxHeight: height }}>
      <div role="row" style={grid} className="sticky top-0 z-10 grid border-b border-line bg-panel px-2 py-1.5 text-[12px] font-medium text-faint">
        {shown.map((column) => {
          const mark = order?.column !== column.name ? "" : order.down ? " ↓" : " ↑";
          return (
            <span role="columnheader" key={column.name} className={cell(column)} aria-sort={mark ? (order?.down ? "descending" : "ascending") : undefined}>
              {column.sortBy ? <button type="button" className="hover:text-ink max-md:py-1.5" onClick={() => turn(column.name)}>{column.name}{mark}</button> : column.name}
            </span>
          );
        })}
      </div>
      <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: "relative", minWidth }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (row === undefined) return null;
          return (
            <div role="row" data-row aria-rowindex={item.index + 1} key={keyOf(row, item.index)} className="absolute inset-x-0 grid items-center border-b border-line/50 px-2 hover:bg-raised"
              style={{ ...grid, height: rowHeight, transform: `translateY(${item.start}px)` }}>
              {shown.map((column) => <span role="cell" key={column.name} className={cell(column)}>{column.show(row)}</span>)}
            </div>
          );
        })}
      </div>
    </div>
  );
}
