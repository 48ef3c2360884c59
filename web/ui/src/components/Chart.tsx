// Lines over time, by uPlot; loaded when first needed. The figures below the
// lines are those under the pointer, else the newest. Charts of one page share
// the pointer.

import { useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock, dayClock } from "../format/time";
import { useTheme } from "../state/theme";
import type { Series } from "../query/series";
import type { Window } from "../state/scope";

export interface ChartProps {
  /** Says what the lines are to those who don't see them. */
  label: string;
  series: Series;
  format: (value: number) => string;
  height?: number;
  stepped?: boolean;
  /** Amounts of memory: ticks at powers of two. */
  binary?: boolean;
  /** The axis of time; the series' own extent when absent. */
  window?: Window | undefined;
  onZoom?: ((from: number, to: number) => void) | undefined;
}

const POWERS = Array.from({ length: 50 }, (_, power) => 2 ** power);

function axisClock(ms: number, stepSeconds: number, number: number): string {
  if (stepSeconds >= 86_400 || (stepSeconds >= 21_600 && number === 0)) return dayClock(ms).slice(0, -9);
  return ms % 60_000 === 0 ? clock(ms).slice(0, 5) : clock(ms);
}

/** Labels of an axis; one that says the same as the one below it is left out. */
function labels(ticks: number[], format: (value: number) => string): string[] {
  const texts = ticks.map(format);
  return texts.map((text, at) => (text === texts[at - 1] ? "" : text));
}

type Latest = Pick<ChartProps, "format" | "onZoom" | "window">;

function optionsOf(names: string[], element: HTMLElement, shape: Pick<ChartProps, "height" | "stepped" | "binary">, latest: { current: Latest }, onCursor: (at: number | undefined) => void): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter Variable, sans-serif" };
  const paths = shape.stepped ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
  return {
    width: element.clientWidth || 300, height: shape.height ?? 150,
    legend: { show: false },
    cursor: { points: { size: 6 }, drag: { x: true, y: false, setScale: false }, sync: { key: "tiphys" } },
    scales: {
      x: { range: (_, low, high) => (latest.current.window ? [latest.current.window.from / 1000, latest.current.window.to / 1000] : [low, high]) },
      y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.15 : 1] },
    },
    axes: [
      { ...axis, space: 60, size: 26, values: (_, ticks) => ticks.map((tick, n) => axisClock(tick * 1000, (ticks[1] ?? 0) - (ticks[0] ?? 0), n)) },
      { ...axis, size: 62, ...(shape.binary ? { incrs: POWERS } : {}), values: (_, ticks) => labels(ticks, latest.current.format) },
    ],
    series: [{}, ...names.map((label, at) => ({
      label, stroke: colour(`--series-${(at % 8) + 1}`), width: 1.6, points: { show: false }, ...(paths ? { paths } : {}),
    }))],
    hooks: {
      setCursor: [(u) => onCursor(u.cursor.idx ?? undefined)],
      setSelect: [(u) => {
        if (u.select.width < 4) return;
        const at = (x: number) => u.posToVal(x, "x") * 1000;
        latest.current.onZoom?.(at(u.select.left), at(u.select.left + u.select.width));
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
  };
}

export default function Chart({ label, series, format, height = 150, stepped, binary, window, onZoom }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const { shown } = useTheme();
  const [under, setUnder] = useState<number>();
  const latest = useRef<Latest>({ format, onZoom, window });
  latest.current = { format, onZoom, window };
  const names = series.names.join("\n");
  const plot = useRef<uPlot | null>(null);
  const data = [series.times.map((ms) => ms / 1000), ...series.values] as uPlot.AlignedData;
  const first = useRef(data);
  first.current = data;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const shape = { height, ...(stepped ? { stepped } : {}), ...(binary ? { binary } : {}) };
    const made = new uPlot(optionsOf(names.split("\n"), element, shape, latest, setUnder), first.current, element);
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [names, height, stepped, binary, shown]);
  useEffect(() => plot.current?.setData(first.current), [series, window]);
  const time = under === undefined ? undefined : series.times[under];
  return (
    <div className="px-2 pt-2 pb-2">
      <div ref={box} role="img" aria-label={`${label} over time: ${series.names.map((name, at) => `${name} ${format(lastOf(series.values[at]))}`).join(", ")}`} />
      <ul className="flex flex-wrap gap-x-4 gap-y-1 px-2 text-[12px] text-dim">
        {series.names.map((name, at) => (
          <li key={name} className="flex min-w-0 items-center gap-1.5">
            <span className="h-0.5 w-3 shrink-0 rounded" style={{ background: `var(--series-${(at % 8) + 1})` }} />
            <span className="truncate">{name}</span> <span className="numbers shrink-0 text-faint">{format((under === undefined ? undefined : near(series.values[at], under)) ?? lastOf(series.values[at]))}</span>
          </li>
        ))}
        {time !== undefined && <li className="numbers ml-auto text-faint">{clock(time)}</li>}
      </ul>
    </div>
  );
}

function lastOf(values: (number | null | undefined)[] | undefined): number {
  return values?.findLast((value): value is number => value != null) ?? Number.NaN;
}

/** The value at a place, or the one before it. */
function near(values: (number | null | undefined)[] | undefined, at: number): number | undefined {
  return values?.slice(0, at + 1).findLast((value): value is number => value != null);
}
