// The events of one object, live.

import { EVENTS } from "../../api/kinds";
import { type Event, lastSeen } from "../../api/objects";
import { Empty, Panel, Problem } from "../../components/Notice";
import { BESIDE, useLiveObjects } from "../../live/useLive";
import { EventLines } from "../home/Warnings";
import { useNow } from "./TableRows";

export function Events({ namespace, name, kind }: { namespace: string; name: string; kind: string }) {
  const now = useNow();
  const events = useLiveObjects<Event>(EVENTS, { namespace, fields: `involvedObject.name=${name},involvedObject.kind=${kind}` }, BESIDE);
  const list = events.items.toSorted((a, b) => lastSeen(b).localeCompare(lastSeen(a)));
  return (
    <Panel title="Events" note={list.length || ""}>
      {events.error ? <Problem error={events.error} /> : list.length ? <EventLines events={list} now={now} /> : <Empty>{events.state === "loading" ? "Loading…" : "No events."}</Empty>}
    </Panel>
  );
}
