// Records over time by level; drag over it to look at that time.

import { type PointerEvent, useRef, useState } from "react";
import type { HistogramAnswer } from "../../api/logs";
import { count } from "../../format/quantity";
import { clock, DAY, dayClock } from "../../format/time";
import { LEVELS } from "./level";

const HEIGHT = 64;

export function Histogram({ answer, onZoom }: { answer: HistogramAnswer | undefined; onZoom: (from: number, to: number) => void }) {
  const box = useRef<HTMLDivElement>(null);
  const [drag, setDrag] = useState<[number, number]>();
  const bars = answer?.buckets ?? [];
  const most = Math.max(1, ...bars.map((bar) => bar.count));
  const step = (answer?.step_ns ?? 0) / 1e6;
  const start = Date.parse(bars[0]?.time ?? "");
  const total = bars.reduce((sum, bar) => sum + bar.count, 0);
  const share = (event: PointerEvent) => {
    const { left, width } = box.current?.getBoundingClientRect() ?? { left: 0, width: 1 };
    return Math.min(1, Math.max(0, (event.clientX - left) / width));
  };
  const end = () => {
    if (drag && Math.abs(drag[0] - drag[1]) > 0.01) {
      const at = (part: number) => Math.round(start + part * step * bars.length);
      onZoom(at(Math.min(...drag)), at(Math.max(...drag)));
    }
    setDrag(undefined);
  };
  // An instant needs its day when the bars reach over more than one.
  const instant = (ms: number) => (Number.isNaN(start) ? "" : step * bars.length > DAY / 2 ? dayClock(ms) : clock(ms));
  return (
    <div className="shrink-0 border-b border-line px-4 pt-3 pb-1.5">
      <div ref={box} className="relative cursor-crosshair touch-none select-none" role="img" aria-label={`${total} records over time; drag to look at a part`}
        onPointerDown={(event) => { event.currentTarget.setPointerCapture(event.pointerId); setDrag([share(event), share(event)]); }}
        onPointerMove={(event) => drag && setDrag([drag[0], share(event)])} onPointerUp={end} onPointerCancel={() => setDrag(undefined)}>
        <svg viewBox={`0 0 ${Math.max(1, bars.length)} ${HEIGHT}`} preserveAspectRatio="none" className="block h-16 w-full">
          {bars.map((bar, at) => {
            let top = HEIGHT;
            return (
              <g key={bar.time}>
                <title>{`${dayClock(start + at * step)}: ${bar.count}`}</title>
                <rect x={at} width={1} height={HEIGHT} fill="transparent" />
                {LEVELS.map(([level, colour]) => {
                  const height = ((bar.by_level[level] ?? 0) / most) * (HEIGHT - 2);
                  top -= height;
                  return height > 0 && <rect key={level} x={at + 0.1} width={0.8} y={top} height={height} fill={colour} />;
                })}
              </g>
            );
          })}
        </svg>
        {drag && <div className="pointer-events-none absolute inset-y-0 rounded bg-accent/25" style={{ left: `${Math.min(...drag) * 100}%`, width: `${Math.abs(drag[0] - drag[1]) * 100}%` }} />}
      </div>
      <p className="numbers flex justify-between pt-1 text-[11px] text-faint">
        <span>{instant(start)}</span><span>{answer ? `${count(total)} records · ${answer.took_ms} ms` : "Counting…"}</span><span>{instant(start + step * bars.length)}</span>
      </p>
    </div>
  );
}
