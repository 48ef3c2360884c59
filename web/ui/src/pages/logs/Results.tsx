// Pages of records, the newest first; older ones come by the cursor. While
// nobody reads further down, newer ones come by themselves. Until a new question
// is answered, the records of the one before stay in view, out of reach.

import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { search } from "../../api/logs";
import { Empty, Problem } from "../../components/Notice";
import { matcher } from "../../query/highlight";
import { windowOf } from "../../state/scope";
import { useScope } from "../../state/useScope";
import { Missing } from "./Missing";
import { RecordList } from "./RecordList";

const PAGE = 300;

export function Results({ query, namespace, onAdd }: { query: string; namespace: string; onAdd: ((part: string) => void) | undefined }) {
  const [scope] = useScope();
  const [idle, setIdle] = useState(true);
  const question = JSON.stringify([query, namespace, scope.range]);
  const answer = useInfiniteQuery({
    queryKey: ["search", query, namespace, scope.range],
    initialPageParam: "",
    queryFn: async ({ pageParam, signal }) => {
      const { from, to } = windowOf(scope.range, Date.now());
      const page = await search({
        query, limit: PAGE, since: new Date(from).toISOString(), until: new Date(to).toISOString(),
        ...(namespace ? { namespace } : {}), ...(pageParam ? { cursor: pageParam } : {}),
      }, signal);
      return { ...page, question };
    },
    getNextPageParam: (page) => page.cursor,
    refetchOnWindowFocus: false,
    refetchInterval: ({ state }) => "last" in scope.range && idle && (state.data?.pages.length ?? 0) < 2 && 10_000,
    placeholderData: keepPreviousData,
  });
  const records = useMemo(() => answer.data?.pages.flatMap((page) => page.records) ?? [], [answer.data]);
  const waiting = answer.isPlaceholderData;
  const pattern = useMemo(() => (waiting ? undefined : matcher(query)), [query, waiting]);
  const last = answer.data?.pages.at(-1);
  if (answer.error && !answer.data) return <Problem error={answer.error} />;
  return (
    <>
      {last && <Missing partial={last.partial} restricted={last.restricted} />}
      {records.length === 0 ? <Empty>{answer.isPending ? "Searching…" : "Nothing matches in this time range. Widen the range, or take words out."}</Empty> : (
        <div inert={waiting} className={`flex min-h-0 flex-auto flex-col ${waiting ? "opacity-50" : ""}`}>
          {/* Which record is open belongs to the question. */}
          <RecordList key={last?.question} length={records.length} at={(number) => records[number]} pattern={pattern} onAdd={onAdd} onIdle={setIdle} />
        </div>
      )}
      <footer className="flex min-h-10 items-center justify-between gap-2 border-t border-line px-4 py-1 text-[12px] text-faint">
        <span className="numbers" role="status">{waiting ? "Searching…" : `${records.length} records, the newest first`}</span>
        {answer.hasNextPage && <button type="button" className="button" disabled={answer.isFetching} onClick={() => void answer.fetchNextPage()}>{answer.isFetchingNextPage ? "Loading…" : "Load older"}</button>}
      </footer>
    </>
  );
}
