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
 * security policy and on the console go into `complaints`; an answer whose
 * status is among `expected` is no error, nor that a link of the machine came or
 * went (other clusters make and remove theirs): the pages ask again.
 */
export async function visitor(browser, complaints, expected) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on("console", (line) => {
    const status = /server responded with a status of (\d+)/.exec(line.text())?.[1];
    if (line.type() !== "error" || line.text().includes("ERR_NETWORK_CHANGED")) return;
    if (!expected.has(Number(status))) complaints.push(`${page.url()}: ${line.text()}`);
  });
  return { context, page };
}
