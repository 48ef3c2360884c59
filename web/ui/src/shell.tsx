// The frame of all pages: navigation at the side, on a phone at the foot.

import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useSyncExternalStore } from "react";
import { Link, useLocation } from "wouter";
import { reach } from "./api/http";
import { signOut } from "./api/session";
import { Icon } from "./components/Icon";
import { ScopeBar } from "./components/ScopeBar";
import { forgetLive } from "./live/useLive";
import { useHref } from "./state/useScope";
import { choose, useTheme } from "./state/theme";

const PAGES = [
  ["/", "home", "Home"],
  ["/workloads", "workloads", "Workloads"],
  ["/nodes", "nodes", "Nodes"],
  ["/logs", "logs", "Logs"],
  ["/sql", "sql", "SQL"],
  ["/autoscaler", "autoscaler", "Autoscaler"],
] as const;

export function Shell({ user, children }: { user: string; children: ReactNode }) {
  const [path] = useLocation();
  const href = useHref();
  const theme = useTheme();
  const queries = useQueryClient();
  const isHere = (to: string) => (to === "/" ? path === "/" : path.startsWith(to));
  const reached = useSyncExternalStore(reach.subscribe, reach.read);
  const title = PAGES.find(([to]) => isHere(to))?.[2] ?? "Tiphys";
  // What the page is about comes first: a tab shows little.
  const about = decodeURIComponent(path.split("/").slice(2).at(-1) ?? "");
  useEffect(() => {
    document.title = `${about && about !== "pods" ? `${about} · ` : ""}${title} · Tiphys`;
  }, [about, title]);
  const leave = async () => {
    await signOut();
    forgetLive();
    queries.clear();
    window.location.assign("/");
  };
  return (
    <div className="flex h-full">
      <a href="#content" className="button absolute top-2 left-2 z-50 not-focus:sr-only" onClick={(event) => { event.preventDefault(); document.getElementById("content")?.focus(); }}>Skip to the content</a>
      <aside className="hidden w-52 shrink-0 flex-col border-r border-line bg-panel p-3 md:flex">
        <Link href={href("/")} className="mb-5 flex items-center gap-2.5 px-2 pt-1 text-[16px] font-semibold tracking-tight">
          <img src="/icon.svg" alt="" className="size-7" /> Tiphys
        </Link>
        <nav aria-label="Pages" className="flex flex-col gap-0.5">
          {PAGES.map(([to, icon, name]) => (
            <Link key={to} href={href(to)} aria-current={isHere(to) ? "page" : undefined}
              className={`flex items-center gap-2.5 rounded-lg px-2.5 py-1.5 text-[13.5px] font-medium ${isHere(to) ? "bg-accent/12 text-accent" : "text-dim hover:bg-raised hover:text-ink"}`}>
              <Icon name={icon} /> {name}
            </Link>
          ))}
        </nav>
        <p className="mt-auto px-2 text-[12px] break-words text-faint" title={user}>{user.replace(/^system:serviceaccount:/, "")}</p>
      </aside>
      <div className="flex min-w-0 flex-1 flex-col">
        <header className="flex flex-wrap items-center justify-between gap-2 border-b border-line bg-panel/80 px-3 py-2 md:px-5">
          <h1 className="flex items-center gap-2 text-[16px] font-semibold tracking-tight">
            <img src="/icon.svg" alt="" className="size-6 md:hidden" /> {title}
          </h1>
          <div className="order-3 w-full md:order-2 md:ml-auto md:w-auto"><ScopeBar /></div>
          <div className="order-2 flex gap-1.5 md:order-3">
            <button type="button" className="button w-8 px-0 max-md:w-10" aria-label="Switch between light and dark" onClick={() => choose(theme.shown === "dark" ? "light" : "dark")}>
              <Icon name={theme.shown === "dark" ? "sun" : "moon"} size={16} />
            </button>
            <button type="button" className="button w-8 px-0 max-md:w-10" aria-label={`Sign out ${user}`} title={`Sign out ${user}`} onClick={leave}><Icon name="out" size={16} /></button>
          </div>
        </header>
        {!reached && <p role="alert" className="bg-bad/12 px-5 py-2 text-[13px] text-bad">The dashboard's server does not answer. What you see may be old; it is tried again. Is the cluster running? (tiphys status)</p>}
        <main id="content" tabIndex={-1} className="min-h-0 flex-1 overflow-y-auto p-3 outline-none max-md:pb-20 md:p-5">{children}</main>
      </div>
      <nav aria-label="Pages" className="fixed inset-x-0 bottom-0 z-40 grid grid-cols-6 border-t border-line bg-panel pb-[env(safe-area-inset-bottom)] md:hidden">
        {PAGES.map(([to, icon, name]) => (
          <Link key={to} href={href(to)} aria-current={isHere(to) ? "page" : undefined}
            className={`flex flex-col items-center gap-0.5 py-2 text-[10px] font-medium ${isHere(to) ? "text-accent" : "text-dim"}`}>
            <Icon name={icon} size={20} /> {name}
          </Link>
        ))}
      </nav>
    </div>
  );
}
