// Drives the dashboard in Chromium against a real cluster:
//
//   node web/ui/e2e/dashboard.mjs --url <one-time link> [--word WORD] [--screenshots DIR]
//
// One line a step; exit code 0 when all of them held, else 1.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values } = parseArgs({ options: { url: { type: "string" }, word: { type: "string", default: "listening" }, screenshots: { type: "string" } } });
if (!values.url) {
  console.error("usage: dashboard.mjs --url <one-time link> [--word WORD] [--screenshots DIR]");
  process.exit(2);
}
const word = values.word;
const link = new URL(values.url);
const profile = mkdtempSync(join(tmpdir(), "tiphys-browser-"));
const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: ARGUMENTS, viewport: { width: 1440, height: 900 },
});
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(20_000);
const wrong = [];
page.on("pageerror", (error) => wrong.push(error.message));
page.on("console", (line) => {
  if (/content security policy/i.test(line.text())) wrong.push(line.text());
});

const open = (path) => page.goto(new URL(path, link.origin).href);

/** Keeps looking until what is awaited is there, loading the page again in between. */
async function eventually(path, locator, seconds = 60) {
  const until = Date.now() + seconds * 1000;
  for (;;) {
    await open(path);
    try {
      await locator.first().waitFor({ timeout: 8000 });
      return;
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

const steps = {
  "sign in by link": async () => {
    await page.goto(link.href);
    await page.getByRole("navigation", { name: "Pages" }).first().waitFor();
    await page.goto(link.href);
    if (!page.url().includes("link=used") && !(await page.getByRole("heading", { name: "Home" }).count())) throw new Error("a used link leads nowhere");
  },
  "nodes are listed": () => eventually("/nodes", page.locator("[data-row]").getByText("Ready", { exact: true })),
  "home shows the nodes": async () => {
    await open("/");
    await page.getByText("CPU of nodes").waitFor();
    await page.locator("canvas").first().waitFor();
  },
  "a log search finds and marks a word": async () => {
    await eventually(`/logs?q=${encodeURIComponent(word)}&range=1h`, page.locator("[data-record] mark"));
    const text = await page.locator("[data-record] mark").first().textContent();
    if (text?.toLowerCase() !== word.toLowerCase()) throw new Error(`marked ${text}, not ${word}`);
  },
  "a broken log query says where": async () => {
    await open(`/logs?q=${encodeURIComponent("(error")}`);
    await page.getByRole("alert").first().getByText("^").waitFor();
  },
  "the live tail connects": async () => {
    await open("/logs?live=1");
    await page.getByText(/records · live/).waitFor();
  },
  "SQL gives a table": async () => {
    await open(`/sql?q=${encodeURIComponent("select node, count(*) as samples from node group by node order by node")}`);
    await page.locator(".cm-content").click();
    await page.keyboard.press("Control+Enter");
    await page.getByRole("region", { name: "Result" }).locator("[data-row]").first().waitFor();
  },
  "the autoscaler shows a decision": () => eventually("/autoscaler", page.locator("[data-decision]")),
  "scripts and policy gave no error": async () => {
    if (wrong.length > 0) throw new Error(wrong.join("; "));
  },
};

async function screenshots(folder) {
  mkdirSync(folder, { recursive: true });
  const pages = { home: "/", workloads: "/workloads/pods", nodes: "/nodes", logs: `/logs?q=${word}`, sql: "/sql", autoscaler: "/autoscaler" };
  await open("/workloads/pods");
  const pod = await page.locator("[data-row] a").first().getAttribute("href");
  if (pod) pages.pod = pod;
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const [size, width, height] of [["desktop", 1440, 900], ["phone", 390, 844]]) {
      await page.setViewportSize({ width, height });
      for (const [name, path] of Object.entries(pages)) {
        await open(path);
        if (name === "sql") await page.getByRole("button", { name: /Run/ }).click();
        await page.waitForLoadState("load");
        await page.waitForTimeout(2500);
        await page.screenshot({ path: join(folder, `${name}-${size}-${colorScheme}.png`) });
      }
    }
  }
}

let failed = false;
try {
  for (const [name, step] of Object.entries(steps)) {
    const started = Date.now();
    try {
      await step();
      console.log(`ok    ${name} (${Date.now() - started} ms)`);
    } catch (error) {
      failed = true;
      console.log(`FAIL  ${name}: ${String(error.message).split("\n")[0]}`);
    }
  }
  if (values.screenshots) await screenshots(values.screenshots);
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
