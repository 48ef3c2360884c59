// Putting clauses into log queries, as clicks on facets and fields do.

/** A value as the query language reads it back: bare when it can be, else quoted. */
export function quoted(value: string): string {
  if (/^[\p{L}\p{N}_][\p{L}\p{N}_.@/-]*$/u.test(value) && !/^(AND|OR|NOT|TO)$/.test(value)) return value;
  return `"${value.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n").replaceAll("\t", "\\t")}"`;
}

export function clause(field: string, value: string): string {
  return `${field}:${quoted(value)}`;
}

/** The query and the clause, both of which must hold. */
export function withClause(query: string, added: string): string {
  const trimmed = query.trim();
  if (trimmed === "" || trimmed === "*") return added;
  if (clauses(trimmed).includes(added)) return trimmed;
  // OR binds weaker than what is added.
  return clauses(trimmed).some((part) => part === "OR" || part === "||") ? `(${trimmed}) ${added}` : `${trimmed} ${added}`;
}

/** The query without the clause, where it stands at the top. */
export function withoutClause(query: string, removed: string): string {
  return clauses(query).filter((part) => part !== removed).join(" ");
}

export function hasClause(query: string, wanted: string): boolean {
  return clauses(query).includes(wanted);
}

/** The parts of a query that white space outside quotes, brackets and patterns divides. */
export function clauses(query: string): string[] {
  const parts: string[] = [];
  let part = "";
  let depth = 0;
  let quote = "";
  for (let at = 0; at < query.length; at += 1) {
    const character = query[at] ?? "";
    if (character === "\\") {
      part += character + (query[at + 1] ?? "");
      at += 1;
      continue;
    }
    const opensPattern = character === "/" && (part === "" || part.endsWith(":") || part.endsWith("-"));
    if (quote) quote = character === quote ? "" : quote;
    else if (character === '"' || opensPattern) quote = character;
    else if (character === "(") depth += 1;
    else if (character === ")") depth -= 1;
    else if (/\s/.test(character) && depth <= 0) {
      if (part) parts.push(part);
      part = "";
      continue;
    }
    part += character;
  }
  if (part) parts.push(part);
  return parts;
}

/** The scope's label selector as clauses: `app=web,tier!=db` is `app:web NOT tier:db`. */
export function fromLabels(selector: string): string {
  const parts = selector.split(",").map((part) => part.trim()).filter(Boolean);
  const one = (part: string) => {
    const match = /^([^=!\s]+)\s*(!=|==?)\s*(.*)$/.exec(part);
    if (match) return `${match[2] === "!=" ? "NOT " : ""}${clause(match[1] ?? "", match[3] ?? "")}`;
    return part.startsWith("!") ? `NOT ${part.slice(1)}:*` : `${part}:*`;
  };
  return parts.map(one).join(" ");
}
