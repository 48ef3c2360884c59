// Who is signed in.

import { getJson, postJson, request } from "./http";

export interface Session {
  user: string;
  groups: string[];
}

export function whoAmI(signal?: AbortSignal): Promise<Session> {
  return getJson<Session>("/auth/session", signal);
}

export function signInWithToken(token: string): Promise<{ user: string }> {
  return postJson("/auth/token", { token });
}

export async function signOut(): Promise<void> {
  await request("/auth/session", { method: "DELETE", headers: { "content-type": "application/json" } });
}
