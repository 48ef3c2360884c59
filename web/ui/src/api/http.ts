// Requests to the dashboard's server, and its errors as people see them.

/** An answer that is an error; `message` is the server's own. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

export const API = "/k8s";

const listeners = new Set<() => void>();
const watchers = new Set<() => void>();
let reached = true;

/** Calls back when the server says that nobody is signed in any more. */
export function onSignedOut(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether the server answered the last request, for useSyncExternalStore. */
export const reach = {
  subscribe(listener: () => void): () => void {
    watchers.add(listener);
    return () => watchers.delete(listener);
  },
  read: () => reached,
};

/** Notes that nobody answers; the error that says so. */
export function unreachable(): ApiError {
  setReached(false);
  return new ApiError(0, "Unreachable", "the dashboard's server does not answer; is the cluster running? (tiphys status)");
}

function setReached(now: boolean): void {
  if (reached === now) return;
  reached = now;
  for (const watcher of watchers) watcher();
}

/** Nobody answered; the frame of all pages says so, once. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ApiError && error.status === 0;
}

/** The server answered, and the user's rights do not reach that far. */
export function isHidden(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 403;
}

/** The answer, or an ApiError. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreachable();
  }
  setReached(true);
  if (response.ok) return response;
  if (response.status === 401 && !path.startsWith("/auth/")) for (const listener of listeners) listener();
  throw await errorOf(response);
}

async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const status = JSON.parse(text) as { message?: string; reason?: string; error?: string };
    const message = status.message ?? status.error ?? text;
    return new ApiError(response.status, status.reason ?? "", message);
  } catch {
    return new ApiError(response.status, "", text.trim() || `${response.status} ${response.statusText}`);
  }
}

export async function getJson<T>(path: string, signal?: AbortSignal, accept = "application/json"): Promise<T> {
  const response = await request(path, { headers: { accept }, signal: signal ?? null });
  return (await response.json()) as T;
}

export async function postJson<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const response = await request(path, {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: signal ?? null,
  });
  return (await response.json()) as T;
}
