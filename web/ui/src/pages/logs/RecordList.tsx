// Records in rows; only those in view exist. Arrow keys move between them,
// Enter or a click opens one; Tab passes them by, for there are many.

import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useEffect, useMemo, useRef, useState } from "react";
import type { LogRecord } from "../../api/logs";
import { printable } from "../../format/printable";
import { clockMillis, dayClock } from "../../format/time";
import { pieces } from "../../query/highlight";
import { colourOf } from "./level";
import { lineOf } from "./line";
import { RecordDetail } from "./RecordDetail";

interface Props {
  length: number;
  at: (number: number) => LogRecord | undefined;
  pattern: RegExp | undefined;
  onAdd: ((part: string) => void) | undefined;
  /** Tells whether the newest record is in view and none is open: then newer ones disturb nobody. */
  onIdle?: (idle: boolean) => void;
}

export function RecordList({ length, at, pattern, onAdd, onIdle }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState("");
  const [top, setTop] = useState(true);
  const virtual = useVirtualizer({
    count: length, getScrollElement: () => scroller.current, estimateSize: () => 24, overscan: 20,
    getItemKey: (number) => at(number)?.id ?? number,
  });
  useEffect(() => onIdle?.(top && open === ""), [top, open]);
  const move = (event: React.KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const lines = step ? [...(scroller.current?.querySelectorAll<HTMLElement>("[data-record]") ?? [])] : [];
    const next = lines[lines.indexOf(document.activeElement as HTMLElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
  return (
    <div ref={scroller} className="h-[min(62vh,680px)] min-h-0 flex-auto overflow-auto" tabIndex={0} role="region" aria-label="Log records; arrow keys move"
      onKeyDown={move} onScroll={(event) => setTop(event.currentTarget.scrollTop < 8)}>
      <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map((item) => {
          const record = at(item.index);
          if (!record) return null;
          return (
            <div key={item.key} ref={virtual.measureElement} data-index={item.index} className="absolute inset-x-0" style={{ transform: `translateY(${item.start}px)` }}>
              <Row record={record} pattern={pattern} open={open === record.id} onOpen={() => setOpen(open === record.id ? "" : record.id)} />
              {open === record.id && <RecordDetail record={record} onAdd={onAdd} />}
            </div>
          );
        })}
      </div>
    </div>
  );
}

interface RowProps {
  record: LogRecord;
  pattern: RegExp | undefined;
  open: boolean;
  onOpen: () => void;
}

const Row = memo(function Row({ record, pattern, open, onOpen }: RowProps) {
  const line = useMemo(() => lineOf(record), [record]);
  const time = Date.parse(record.time);
  return (
    <button type="button" data-record tabIndex={-1} aria-expanded={open} onClick={onOpen}
      className="flex w-full flex-wrap items-baseline gap-x-3 border-b border-line/40 border-l-[3px] px-3 py-[3px] text-left font-mono text-[12px] leading-[17px] -outline-offset-2 hover:bg-raised max-md:py-1.5 md:flex-nowrap"
      style={{ borderLeftColor: colourOf(record.level) }}>
      <span className="numbers shrink-0 text-faint" title={`${dayClock(time)}\n${record.time}`}>{clockMillis(time)}</span>
      <span className="sr-only">{record.level}</span>
      <span className="w-44 shrink-0 truncate text-dim max-md:w-auto max-md:flex-1" title={`${record.namespace}/${record.pod} ${record.container} on ${record.node}`}>{record.pod}</span>
      <span className="min-w-0 basis-full break-words max-md:line-clamp-4 md:flex-1 md:basis-0 md:truncate">
        <Marked text={printable(line.message)} pattern={pattern} />{line.rest && <span className="text-faint">{" "}<span className="inline-block w-2" /><Marked text={printable(line.rest)} pattern={pattern} /></span>}
      </span>
    </button>
  );
}, (before, after) => before.record === after.record && before.pattern === after.pattern && before.open === after.open);

export function Marked({ text, pattern }: { text: string; pattern: RegExp | undefined }) {
  return pieces(text.length > 4000 ? text.slice(0, 4000) : text, pattern).map((piece, at) => (piece.hit ? <mark key={at}>{piece.text}</mark> : piece.text));
}
