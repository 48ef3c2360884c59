// Chromium for the walk and the pictures, and what it complains about.

import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: ARGUMENTS });
}

/**
 * A browser profile of its own with one page. Errors of scripts, of the content
 * security policy and on the console go into `complaints`, and answers with a
 * status of 400 and above that was not among `expected` when they were asked for:
 * a page asks several things, and the last answer may come in the next step. That
 * a link of the machine came or went (other clusters make and remove theirs) is no
 * error: the pages ask again.
 */
export async function visitor(browser, complaints, expected) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  const provoked = new WeakMap();
  page.on("request", (request) => provoked.set(request, new Set(expected)));
  page.on("response", (response) => {
    const status = response.status();
    if (status < 400 || provoked.get(response.request())?.has(status)) return;
    complaints.push(`${page.url()}: ${response.url()} was answered with ${status}`);
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on("console", (line) => {
    const answered = line.text().includes("server responded with a status of");
    if (line.type() !== "error" || answered || line.text().includes("ERR_NETWORK_CHANGED")) return;
    complaints.push(`${page.url()}: ${line.text()}`);
  });
  return { context, page };
}
