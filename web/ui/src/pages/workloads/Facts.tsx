// Names and values of one object.

import type { ReactNode } from "react";
import { Link } from "wouter";
import { workload } from "../../api/kinds";
import type { Metadata } from "../../api/objects";
import { printable } from "../../format/printable";
import { useHref } from "../../state/useScope";

export function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className="grid grid-cols-[max-content_1fr] gap-x-4 gap-y-1.5 px-4 py-3 text-[13px]">
      {facts.filter(([, value]) => value !== undefined && value !== "").map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-faint">{name}</dt>
          <dd className="min-w-0 break-words">{typeof value === "string" ? printable(value) : value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function labelsOf(labels: Record<string, string> | undefined): string {
  return Object.entries(labels ?? {}).map(([name, value]) => (value ? `${name}=${value}` : name)).join(", ");
}

/** The annotations that people write; what kubectl keeps for itself is left out. */
export function annotationsOf(annotations: Record<string, string> | undefined): string {
  return labelsOf(Object.fromEntries(Object.entries(annotations ?? {}).filter(([name]) => name !== "kubectl.kubernetes.io/last-applied-configuration")));
}

/** Who an object belongs to, with ways there. */
export function Owners({ of: { namespace, ownerReferences } }: { of: Metadata }) {
  const href = useHref();
  return ownerReferences?.map(({ kind, name }) => {
    const plural = `${kind.toLowerCase()}s`;
    const text = `${kind} ${name}`;
    return workload(plural)?.kind === kind
      ? <Link key={text} href={href(`/workloads/${plural}/${namespace}/${name}`)} className="link block">{text}</Link> : <span key={text} className="block">{text}</span>;
  });
}
