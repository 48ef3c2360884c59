// meta.k8s.io/v1 Table: rows with the cells that kubectl prints.

import type { KubeObject, Metadata } from "./objects";

export const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

export interface ColumnDefinition {
  name: string;
  type: string;
  format?: string;
  description?: string;
  priority: number;
}

export interface Row {
  cells: unknown[];
  object: KubeObject;
  /** When it came; durations in its cells were true then. */
  received: number;
}

export interface Table {
  kind: string;
  metadata: { resourceVersion?: string; continue?: string; remainingItemCount?: number };
  columnDefinitions?: ColumnDefinition[] | null;
  rows?: Row[] | null;
}

/** Names an object among those of its kind. */
export function keyOf(metadata: Metadata): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}

/** A cell by its column's name, as text. */
export function cell(columns: ColumnDefinition[], row: Row, name: string): string {
  const at = columns.findIndex((column) => column.name === name);
  const value = at < 0 ? undefined : row.cells[at];
  return value == null ? "" : String(value);
}
