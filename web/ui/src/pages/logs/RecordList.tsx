// Records in rows; only those in view exist. Enter or a click opens one.

import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useRef, useState } from "react";
import type { LogRecord } from "../../api/logs";
import { printable } from "../../format/printable";
import { clockMillis } from "../../format/time";
import { pieces } from "../../query/highlight";
import { colourOf } from "./level";
import { RecordDetail } from "./RecordDetail";

interface Props {
  length: number;
  at: (number: number) => LogRecord | undefined;
  pattern: RegExp | undefined;
  onAdd: ((part: string) => void) | undefined;
  /** Tells whether the newest record is in view. */
  onTop?: (top: boolean) => void;
}

export function RecordList({ length, at, pattern, onAdd, onTop }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState("");
  const virtual = useVirtualizer({
    count: length, getScrollElement: () => scroller.current, estimateSize: () => 24, overscan: 20,
    getItemKey: (number) => at(number)?.id ?? number,
  });
  return (
    <div ref={scroller} className="h-[min(62vh,680px)] overflow-auto" tabIndex={0} role="log" aria-label="Log records"
      onScroll={(event) => onTop?.(event.currentTarget.scrollTop < 8)}>
      <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
        {virtual.getVirtualItems().map((item) => {
          const record = at(item.index);
          if (!record) return null;
          return (
            <div key={item.key} ref={virtual.measureElement} data-index={item.index} className="absolute inset-x-0" style={{ transform: `translateY(${item.start}px)` }}>
              <Line record={record} pattern={pattern} open={open === record.id} onOpen={() => setOpen(open === record.id ? "" : record.id)} />
              {open === record.id && <RecordDetail record={record} onAdd={onAdd} />}
            </div>
          );
        })}
      </div>
    </div>
  );
}

interface LineProps {
  record: LogRecord;
  pattern: RegExp | undefined;
  open: boolean;
  onOpen: () => void;
}

const Line = memo(function Line({ record, pattern, open, onOpen }: LineProps) {
  return (
    <button type="button" data-record aria-expanded={open} onClick={onOpen}
      className="flex w-full flex-wrap items-baseline gap-x-3 border-b border-line/40 border-l-[3px] px-3 py-[3px] text-left font-mono text-[12px] leading-[17px] hover:bg-raised md:flex-nowrap"
      style={{ borderLeftColor: colourOf(record.level) }}>
      <span className="numbers shrink-0 text-faint" title={record.time}>{clockMillis(Date.parse(record.time))}</span>
      <span className="w-40 shrink-0 truncate text-dim max-md:flex-1" title={`${record.namespace}/${record.pod} ${record.container} on ${record.node}`}>{record.pod}</span>
      <span className="min-w-0 basis-full break-all md:flex-1 md:basis-0 md:truncate"><Marked text={printable(record.body)} pattern={pattern} /></span>
    </button>
  );
}, (before, after) => before.record === after.record && before.pattern === after.pattern && before.open === after.open);

export function Marked({ text, pattern }: { text: string; pattern: RegExp | undefined }) {
  return pieces(text.length > 4000 ? text.slice(0, 4000) : text, pattern).map((piece, at) => (piece.hit ? <mark key={at}>{piece.text}</mark> : piece.text));
}
