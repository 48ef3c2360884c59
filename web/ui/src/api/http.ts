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

/** Calls back when the server says that nobody is signed in any more. */
export function onSignedOut(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The answer, or an ApiError. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "Unreachable", "the dashboard's server does not answer; is the cluster running? (tiphys status)");
  }
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
