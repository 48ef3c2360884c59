// Walks through the dashboard in Chromium, on a real cluster that has what
// tests/tests/e2e/dashboard.rs puts into it:
//
//   node web/ui/e2e/dashboard.mjs --link <one-time link> --namespace NS --token <of a viewer of NS only>
//
// One line a step; the first step that fails ends the walk with exit code 1 and,
// with --failed FILE, leaves a picture of the page there.

import { parseArgs } from "node:util";
import { launch, visitor } from "./browser.mjs";
import { autoscaler } from "./steps/autoscaler.mjs";
import { fewRights } from "./steps/few-rights.mjs";
import { hostile } from "./steps/hostile.mjs";
import { logs } from "./steps/logs.mjs";
import { objects } from "./steps/objects.mjs";
import { signIn, signOut } from "./steps/sign-in.mjs";
import { sql } from "./steps/sql.mjs";

const STEPS = { ...signIn, ...objects, ...logs, ...sql, ...autoscaler, ...hostile, ...signOut, ...fewRights };

const { values } = parseArgs({
  options: { link: { type: "string" }, namespace: { type: "string" }, token: { type: "string" }, failed: { type: "string" } },
});
const { link, namespace, token } = values;
if (!link || !namespace || !token) {
  console.error("usage: dashboard.mjs --link LINK --namespace NS --token TOKEN [--failed FILE]");
  process.exit(2);
}

const browser = await launch();
const complaints = [];
/** Statuses that requests of the step under way provoke. */
const expected = new Set();
const { context, page } = await visitor(browser, complaints, expected);
const origin = new URL(link).origin;
const walk = {
  browser, context, page, link, origin, namespace, token, complaints, expected,
  open: (path) => page.goto(new URL(path, origin).href),
  /** The parameters of the page's address. */
  parameters: () => new URL(page.url()).searchParams,
};

function must(condition, message) {
  if (!condition) throw new Error(message);
}

let code = 0;
for (const [name, step] of Object.entries(STEPS)) {
  const started = Date.now();
  try {
    await step(walk, must);
    must(complaints.length === 0, `the browser complains: ${complaints.join("; ")}`);
    console.log(`ok    ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    console.log(`FAIL  ${name}: ${error.message}\n      at ${page.url()}`);
    if (values.failed) await page.screenshot({ path: values.failed });
    code = 1;
    break;
  }
  expected.clear();
}
await browser.close();
process.exit(code);
