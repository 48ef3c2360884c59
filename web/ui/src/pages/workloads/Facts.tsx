// Names and values of one object.

import { printable } from "../../format/printable";

export function Facts({ facts }: { facts: [string, string | number | undefined][] }) {
  return (
    <dl className="grid grid-cols-[max-content_1fr] gap-x-4 gap-y-1.5 px-4 py-3 text-[13px]">
      {facts.filter(([, value]) => value !== undefined && value !== "").map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-faint">{name}</dt>
          <dd className="min-w-0 break-words">{printable(String(value))}</dd>
        </div>
      ))}
    </dl>
  );
}

export function labelsOf(labels: Record<string, string> | undefined): string {
  return Object.entries(labels ?? {}).map(([name, value]) => (value ? `${name}=${value}` : name)).join(", ");
}
