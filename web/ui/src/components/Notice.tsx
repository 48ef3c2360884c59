// What is loading, missing, hidden or wrong, said in words.

import { useQueryClient } from "@tanstack/react-query";
import { isHidden } from "../api/http";
import type { Session } from "../api/session";
import { useScope } from "../state/useScope";

/** An error in place of what it kept from being shown. */
export function Problem({ error }: { error: unknown }) {
  const message = error instanceof Error ? error.message : String(error);
  if (isHidden(error)) return <Hidden>{message}</Hidden>;
  return (
    <div role="alert" className="rounded-lg border border-bad/40 bg-bad/10 p-3 text-[13px] [section_&]:m-3">
      <p className="font-medium">This could not be shown</p>
      <pre className="mt-1 overflow-x-auto font-mono text-[12px] whitespace-pre-wrap text-dim">{message}</pre>
    </div>
  );
}

/** What the user's rights do not reach, and where they may. */
export function Hidden({ children }: { children: React.ReactNode }) {
  const [scope, setScope] = useScope();
  const session = useQueryClient().getQueryData<Session>(["session"]);
  const own = /^system:serviceaccount:([^:]+):/.exec(session?.user ?? "")?.[1];
  return (
    <div role="status" className="rounded-lg border border-warn/40 bg-warn/10 p-3 text-[13px] [section_&]:m-3">
      <p className="font-medium">Hidden: your rights do not reach this</p>
      <p className="mt-1 break-words text-dim">{children}</p>
      {own && scope.namespace !== own
        ? <button type="button" className="button mt-2" onClick={() => setScope({ namespace: own })}>Look at namespace {own}</button>
        : !scope.namespace && <p className="mt-1 text-dim">Choose a namespace that you may read.</p>}
    </div>
  );
}

export function Empty({ children }: { children: React.ReactNode }) {
  return <p className="px-4 py-6 text-center text-[13px] text-faint">{children}</p>;
}

export function Panel(props: { title: string; note?: React.ReactNode; children: React.ReactNode; className?: string }) {
  return (
    <section aria-label={props.title} className={`panel min-w-0 overflow-hidden ${props.className ?? ""}`}>
      <header className="flex items-center justify-between gap-2 border-b border-line px-4 py-2.5">
        <h2 className="text-[13px] font-semibold">{props.title}</h2>
        <span className="numbers text-[12px] text-faint">{props.note}</span>
      </header>
      {props.children}
    </section>
  );
}

const GOOD = /^(Running|Ready|Active|Bound|True|Completed|Succeeded|Normal|Available)/;
const WAITING = /^(Pending|ContainerCreating|PodInitializing|Terminating|Init:|Unknown|SchedulingDisabled|Ready,SchedulingDisabled|False)/;

export function toneOf(status: string): string {
  if (WAITING.test(status) || status.includes("SchedulingDisabled")) return "text-warn";
  return GOOD.test(status) ? "text-ok" : "text-bad";
}

export function Status({ text }: { text: string }) {
  return (
    <span className={`inline-flex items-center gap-1.5 ${toneOf(text)}`}>
      <span className="size-1.5 shrink-0 rounded-full bg-current" />
      {text}
    </span>
  );
}
