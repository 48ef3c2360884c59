// Light or dark: as the system says, unless the user chose.

import { useSyncExternalStore } from "react";

export type Choice = "system" | "light" | "dark";

const KEY = "tiphys-theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

function choice(): Choice {
  const stored = localStorage.getItem(KEY);
  return stored === "light" || stored === "dark" ? stored : "system";
}

function shown(): "light" | "dark" {
  const chosen = choice();
  return chosen === "system" ? (system.matches ? "dark" : "light") : chosen;
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = shown();
  for (const listener of listeners) listener();
}

system.addEventListener("change", applyTheme);

export function choose(next: Choice): void {
  if (next === "system") localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  applyTheme();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** What the user chose, and what is shown. */
export function useTheme(): { choice: Choice; shown: "light" | "dark" } {
  return { choice: useSyncExternalStore(subscribe, choice), shown: useSyncExternalStore(subscribe, shown) };
}
