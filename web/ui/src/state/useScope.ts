// The scope of the address, and ways to change it.

import { useCallback, useMemo } from "react";
import { useLocation, useSearch } from "wouter";
import { readScope, type Scope, writeScope } from "./scope";

export function useScope(): [Scope, (change: Partial<Scope>) => void] {
  const search = useSearch();
  const [path, navigate] = useLocation();
  const scope = useMemo(() => readScope(search), [search]);
  const change = useCallback(
    (part: Partial<Scope>) => {
      const query = writeScope({ ...readScope(window.location.search), ...part }, window.location.search);
      navigate(query ? `${path}?${query}` : path);
    },
    [navigate, path],
  );
  return [scope, change];
}

/** A parameter of one page, in the address too. */
export function useParameter(name: string): [string, (value: string, options?: { replace?: boolean }) => void] {
  const search = useSearch();
  const [path, navigate] = useLocation();
  const value = useMemo(() => new URLSearchParams(search).get(name) ?? "", [search, name]);
  const set = useCallback(
    (next: string, options?: { replace?: boolean }) => {
      const query = new URLSearchParams(window.location.search);
      if (next) query.set(name, next);
      else query.delete(name);
      navigate(`${path}${query.size ? `?${query}` : ""}`, options);
    },
    [name, navigate, path],
  );
  return [value, set];
}

/** Turns a path into one that keeps the scope. */
export function useHref(): (path: string, parameters?: Record<string, string>) => string {
  const search = useSearch();
  return useMemo(() => {
    const kept = writeScope(readScope(search));
    return (path: string, parameters: Record<string, string> = {}) => {
      const query = new URLSearchParams(kept);
      for (const [name, value] of Object.entries(parameters)) query.set(name, value);
      return query.size ? `${path}?${query}` : path;
    };
  }, [search]);
}
