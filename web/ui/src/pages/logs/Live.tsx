// The live tail. While one reads below the top, or has a record open, the picture
// stands still.

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { Empty, Problem } from "../../components/Notice";
import { Tail } from "../../live/tail";
import { matcher } from "../../query/highlight";
import { Missing } from "./Missing";
import { RecordList } from "./RecordList";

export function Live({ query, namespace, onAdd }: { query: string; namespace: string; onAdd: (part: string) => void }) {
  const tail = useMemo(() => new Tail(), []);
  const [held, setHeld] = useState<number>();
  // A new round begins at the top.
  const [round, setRound] = useState(0);
  const state = useSyncExternalStore(tail.subscribe, tail.read);
  const pattern = useMemo(() => matcher(query), [query]);
  useEffect(() => {
    const abort = new AbortController();
    void tail.run(query, namespace, abort.signal);
    return () => abort.abort();
  }, [tail, query, namespace]);
  const end = Math.max(held ?? state.next, state.first);
  const waiting = state.next - end;
  if (state.state === "refused") return <Problem error={state.error} />;
  return (
    <>
      <Missing partial={state.partial} restricted={false} dropped={state.dropped} />
      {end === state.first ? <Empty>{state.state === "live" ? "Waiting for records…" : "Connecting…"}</Empty> : (
        <RecordList key={round} length={end - state.first} at={(number) => tail.ring.get(end - 1 - number)} pattern={pattern} onAdd={onAdd}
          onIdle={(idle) => setHeld(idle ? undefined : (now) => now ?? tail.read().next)} />
      )}
      <footer className="numbers flex justify-between border-t border-line px-4 py-2 text-[12px] text-faint">
        <span>{state.next} records · {state.state}</span>{waiting > 0 && <button type="button" className="text-accent hover:underline" onClick={() => setRound(round + 1)}>{waiting} newer: show them</button>}
      </footer>
    </>
  );
}
