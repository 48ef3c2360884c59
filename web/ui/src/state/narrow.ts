// Whether the page is as narrow as a phone; follows a turned or resized window.

import { useSyncExternalStore } from "react";

const NARROW = window.matchMedia("(max-width: 767px)");

function subscribe(listener: () => void): () => void {
  NARROW.addEventListener("change", listener);
  return () => NARROW.removeEventListener("change", listener);
}

export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => NARROW.matches);
}
