// Lines over time, by uPlot; loaded when first needed.

import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock, dayClock } from "../format/time";
import { useTheme } from "../state/theme";
import type { Series } from "../query/series";

export interface ChartProps {
  series: Series;
  format: (value: number) => string;
  height?: number;
  stepped?: boolean;
  /** Amounts of memory: ticks at powers of two. */
  binary?: boolean;
  onZoom?: ((from: number, to: number) => void) | undefined;
}

const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);

function axisClock(ms: number, stepSeconds: number, number: number): string {
  if (stepSeconds >= 86_400 || (stepSeconds >= 21_600 && number === 0)) return dayClock(ms).slice(0, -9);
  return ms % 60_000 === 0 ? clock(ms).slice(0, 5) : clock(ms);
}

export default function Chart({ series, format, height = 150, stepped, binary, onZoom }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const { shown } = useTheme();
  const latest = useRef({ format, onZoom });
  latest.current = { format, onZoom };
  const names = series.names.join("\n");
  const plot = useRef<uPlot | null>(null);
  const data = [series.times.map((ms) => ms / 1000), ...series.values] as uPlot.AlignedData;
  const first = useRef(data);
  first.current = data;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter Variable, sans-serif" };
    const paths = stepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
    const made = new uPlot({
      width: element.clientWidth || 300, height,
      legend: { show: false },
      cursor: { points: { size: 6 }, drag: { x: true, y: false, setScale: false } },
      scales: { y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.15 : 1] } },
      axes: [{ ...axis, space: 60, size: 26, values: (_, ticks) => ticks.map((tick, n) => axisClock(tick * 1000, (ticks[1] ?? 0) - (ticks[0] ?? 0), n)) }, { ...axis, size: 58, ...(binary ? { incrs: POWERS } : {}), values: (_, ticks) => ticks.map((tick) => latest.current.format(tick)) }],
      series: [{}, ...names.split("\n").map((label, at) => ({
        label, stroke: colour(`--series-${(at % 8) + 1}`), width: 1.6, points: { show: false }, ...(paths ? { paths } : {}),
      }))],
      hooks: {
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          const at = (x: number) => u.posToVal(x, "x") * 1000;
          latest.current.onZoom?.(at(u.select.left), at(u.select.left + u.select.width));
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }],
      },
    }, first.current, element);
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [names, height, stepped, binary, shown]);
  useEffect(() => plot.current?.setData(first.current), [series]);
  return (
    <div className="px-2 pt-2 pb-2">
      <div ref={box} />
      <ul className="flex flex-wrap gap-x-4 gap-y-1 px-2 text-[12px] text-dim">
        {series.names.map((name, at) => (
          <li key={name} className="flex items-center gap-1.5">
            <span className="h-0.5 w-3 rounded" style={{ background: `var(--series-${(at % 8) + 1})` }} />
            {name} <span className="numbers text-faint">{format(lastOf(series.values[at]))}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function lastOf(values: (number | null | undefined)[] | undefined): number {
  return values?.findLast((value): value is number => value != null) ?? Number.NaN;
}
