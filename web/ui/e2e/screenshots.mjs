// Pictures of the pages for docs/screenshots, of whatever the cluster holds:
//
//   node web/ui/e2e/screenshots.mjs --link <one-time link> --folder docs/screenshots [--query WORDS]
//
// PICTURES lists them; a page that complains on the console ends it.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch, visitor } from "./browser.mjs";

const CPU = "select date_bin(interval '15 seconds', time) as time, node, avg(cpu_cores) as cpu_cores\nfrom node\nwhere time >= $from and time < $to\ngroup by 1, 2\norder by 1";
const SIZES = { desktop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } };

const everywhere = ["desktop-light", "desktop-dark", "phone-light", "phone-dark"];

/** Name, path, and in which looks. A page's `act` brings it into the state to show. */
const PICTURES = [
  { name: "sign-in", path: "/", looks: ["phone-light"], signedOut: true },
  { name: "home", path: "/", looks: everywhere },
  { name: "workloads", path: "/workloads/pods", looks: ["desktop-light", "phone-dark"] },
  { name: "nodes", path: "/nodes", looks: ["desktop-dark", "phone-light"] },
  { name: "pod", path: (pod) => `/workloads/pods/${pod}`, looks: ["desktop-light"] },
  { name: "logs", path: (_, query) => `/logs?q=${encodeURIComponent(query)}`, looks: everywhere },
  { name: "record", path: (_, query) => `/logs?q=${encodeURIComponent(query)}`, looks: ["desktop-light"], act: (page) => page.locator("[data-record]").nth(2).click() },
  { name: "sql", path: `/sql?view=chart&q=${encodeURIComponent(CPU)}`, looks: ["desktop-dark"] },
  { name: "autoscaler", path: "/autoscaler?range=5m", looks: ["desktop-dark", "phone-light"] },
];

const { values } = parseArgs({ options: { link: { type: "string" }, folder: { type: "string" }, query: { type: "string", default: "" } } });
if (!values.link || !values.folder) {
  console.error("usage: screenshots.mjs --link LINK --folder FOLDER [--query WORDS]");
  process.exit(2);
}
mkdirSync(values.folder, { recursive: true });
const browser = await launch();
const complaints = [];
const { page, context } = await visitor(browser, complaints, new Set([401]));
const { origin } = new URL(values.link);

/** Of the Pods that are there, the one that did most in the last quarter of an hour, as `namespace/name`. */
async function busiest() {
  const sql = "select namespace, pod from pod where time > now() - interval '15 minutes' and namespace <> 'tiphys-system' group by 1, 2 having max(time) > now() - interval '30 seconds' order by sum(cpu_cores) desc nulls last limit 1";
  const answer = await context.request.post(`${origin}/k8s/tiphys/v1/sql`, { data: { sql, format: "columns" } });
  const { rows } = await answer.json();
  return rows[0].join("/");
}

async function take(picture, look, pod) {
  const [size, colorScheme] = look.split("-");
  await page.setViewportSize(SIZES[size]);
  await page.emulateMedia({ colorScheme });
  const path = typeof picture.path === "string" ? picture.path : picture.path(pod, values.query);
  await page.goto(origin + path);
  await page.waitForFunction(() => document.fonts.status === "loaded" && !/Loading…|Running…|Counting…|Searching…/.test(document.body.textContent ?? ""));
  await picture.act?.(page);
  // What is live has settled: two frames that are alike.
  for (let before = ""; ; ) {
    const now = await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(document.body.textContent?.length), 300))));
    if (String(now) === before) break;
    before = String(now);
  }
  await page.screenshot({ path: join(values.folder, `${picture.name}-${look}.png`) });
  console.log(`${picture.name}-${look}`);
}

for (const picture of PICTURES.filter((one) => one.signedOut)) for (const look of picture.looks) await take(picture, look);
await page.goto(values.link);
await page.getByRole("navigation", { name: "Pages" }).first().waitFor();
const pod = await busiest();
for (const picture of PICTURES.filter((one) => !one.signedOut)) for (const look of picture.looks) await take(picture, look, pod);
await browser.close();
for (const complaint of complaints) console.error(complaint);
process.exit(complaints.length > 0 ? 1 : 0);
