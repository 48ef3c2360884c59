// Which parts of a line a query is about. What is negated or about a field
// other than the text is not marked.

import { clauses } from "./build";

export interface Piece {
  text: string;
  hit: boolean;
}

/** One pattern for all words, phrases, globs and regular expressions of a query; undefined when it has none. */
export function matcher(query: string): RegExp | undefined {
  const sources = terms(query, 0);
  if (sources.length === 0) return undefined;
  try {
    return new RegExp(sources.join("|"), "giu");
  } catch {
    return undefined;
  }
}

function terms(query: string, depth: number): string[] {
  const found: string[] = [];
  let negated = false;
  for (const part of clauses(query)) {
    if (/^(AND|OR|&&|\|\|)$/.test(part)) continue;
    if (part === "NOT") {
      negated = true;
      continue;
    }
    const skip = negated || /^[-!]./.test(part);
    negated = false;
    if (skip) continue;
    const group = /^\((.*)\)$/s.exec(part);
    if (group) {
      if (depth < 20) found.push(...terms(group[1] ?? "", depth + 1));
      continue;
    }
    const source = termSource(part);
    if (source) found.push(source);
  }
  return found;
}

function termSource(part: string): string | undefined {
  const regex = /^\/(.+)\/$/s.exec(part);
  if (regex) return usable(regex[1] ?? "");
  const phrase = /^"(.*)"$/s.exec(part);
  if (phrase) return bounded(escape((phrase[1] ?? "").replace(/\\(.)/g, "$1")));
  if (/^[A-Za-z_@][\w.@/-]*:/.test(part) || part === "*") return undefined;
  const literal = part.replace(/\\(.)|([*?])/g, (_, escaped?: string, wild?: string) => escaped ? escape(escaped) : wild ? `\u0000${wild}` : "");
  const words = part.includes("\\") ? literal : escape(part).replaceAll("\\*", "\u0000*").replaceAll("\\?", "\u0000?");
  return bounded(words.replaceAll("\u0000*", "\\S*?").replaceAll("\u0000?", "."));
}

function usable(source: string): string | undefined {
  try {
    return new RegExp(source, "u") && `(?:${source})`;
  } catch {
    return undefined;
  }
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

/** A word ends where a letter, digit or `_` meets something else. */
function bounded(source: string): string | undefined {
  if (source === "") return undefined;
  const start = /^[\p{L}\p{N}_]/u.test(source) ? "(?<![\\p{L}\\p{N}_])" : "";
  const end = /([\p{L}\p{N}_]|\\S\*\?)$/u.test(source) ? "(?![\\p{L}\\p{N}_])" : "";
  return `${start}${source}${end}`;
}

/** The text in pieces, hits marked. */
export function pieces(text: string, pattern: RegExp | undefined): Piece[] {
  if (!pattern) return [{ text, hit: false }];
  const found: Piece[] = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    if (match[0] === "") continue;
    if (match.index > at) found.push({ text: text.slice(at, match.index), hit: false });
    found.push({ text: match[0], hit: true });
    at = match.index + match[0].length;
    if (found.length > 400) break;
  }
  if (at < text.length) found.push({ text: text.slice(at), hit: false });
  return found;
}
