// A long table: only the rows in view exist. Arrow keys move between rows.

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useRef } from "react";

export interface Column<T> {
  name: string;
  /** A track of CSS grid. */
  width: string;
  show: (row: T) => ReactNode;
  right?: boolean;
  /** Left out on a phone. */
  wideOnly?: boolean;
}

interface Props<T> {
  columns: Column<T>[];
  rows: T[];
  keyOf: (row: T, at: number) => string;
  height?: string;
  minWidth?: number;
}

const NARROW = window.matchMedia("(max-width: 700px)");

export function RowList<T>({ columns, rows, keyOf, height = "min(62vh, 640px)", minWidth }: Props<T>) {
  const scroller = useRef<HTMLDivElement>(null);
  const shown = NARROW.matches ? columns.filter((column) => !column.wideOnly) : columns;
  const virtual = useVirtualizer({
    count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => 34, overscan: 12,
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
  return (
    <div ref={scroller} role="table" aria-rowcount={rows.length} onKeyDown={move} tabIndex={0}
      className="overflow-auto text-[13px]" style={{ maxHeight: height }}>
      <div role="row" style={grid} className="sticky top-0 z-10 grid border-b border-line bg-panel px-2 py-1.5 text-[12px] font-medium text-faint">
        {shown.map((column) => <span role="columnheader" key={column.name} className={cell(column)}>{column.name}</span>)}
      </div>
      <div style={{ height: virtual.getTotalSize(), position: "relative", minWidth }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (row === undefined) return null;
          return (
            <div role="row" data-row key={keyOf(row, item.index)} className="absolute inset-x-0 grid items-center border-b border-line/50 px-2 hover:bg-raised"
              style={{ ...grid, height: item.size, transform: `translateY(${item.start}px)` }}>
              {shown.map((column) => <span role="cell" key={column.name} className={cell(column)}>{column.show(row)}</span>)}
            </div>
          );
        })}
      </div>
    </div>
  );
}
