// Nobody is signed in: a token, or the hint to a one-time link. The address
// stays, so that a shared one is shown afterwards.

import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import { useSearch } from "wouter";
import { signInWithToken } from "../../api/session";

export function SignIn() {
  const used = new URLSearchParams(useSearch()).get("link") === "used";
  const queries = useQueryClient();
  const [token, setToken] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    document.title = "Sign in · Tiphys";
  }, []);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError("");
    try {
      await signInWithToken(token.trim());
      await queries.invalidateQueries({ queryKey: ["session"] });
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <main className="grid min-h-full place-items-center p-4">
      <div className="panel w-full max-w-sm p-6">
        <h1 className="mb-1 flex items-center gap-3 text-xl font-semibold tracking-tight">
          <img src="/icon.svg" alt="" className="size-9" /> Tiphys
        </h1>
        {used && <p role="status" className="mt-4 rounded-lg bg-warn/12 p-3 text-[13px] text-warn">This link was used already, or is older than five minutes. Ask for a new one.</p>}
        <p className="mt-4 text-[13px] text-dim">On the cluster's machine, this prints a link that signs you in:</p>
        <pre className="mt-2 rounded-lg bg-raised px-3 py-2 font-mono text-[13px]">tiphys dashboard</pre>
        <form onSubmit={submit} className="mt-5 flex flex-col gap-2">
          <label htmlFor="token" className="text-[13px] text-dim">Or sign in with a token</label>
          <input id="token" type="password" autoComplete="off" required autoFocus aria-invalid={error !== ""} className="field h-10 max-md:text-[16px]" value={token} onChange={(event) => setToken(event.target.value)} />
          {error && <p role="alert" className="text-[13px] text-bad">{error}</p>}
          <p className="text-[12px] text-faint">For example of a service account: <code className="font-mono">kubectl create token NAME</code></p>
          <button type="submit" disabled={busy} className="button button-primary h-10">{busy ? "Signing in…" : "Sign in"}</button>
        </form>
      </div>
    </main>
  );
}
