// A name that may be too long for its place: its end stays, since Pods of one
// workload differ only there.

const KEPT = 6;

export function Ending({ text }: { text: string }) {
  const cut = Math.max(0, text.length - KEPT);
  return (
    <span className="flex min-w-0 whitespace-pre" title={text}>
      <span className="truncate">{text.slice(0, cut)}</span><span className="shrink-0">{text.slice(cut)}</span>
    </span>
  );
}
