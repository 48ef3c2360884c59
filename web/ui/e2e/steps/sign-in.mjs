// Coming in by a one-time link, and going out again.

import { visitor } from "../browser.mjs";

const tokenField = (page) => page.getByLabel("Or sign in with a token");

export const signIn = {
  "without a session every page asks to sign in": async ({ page, open, expected }) => {
    expected.add(401);
    await open("/logs?q=tick");
    await tokenField(page).waitFor();
    await page.getByText("tiphys dashboard").waitFor();
  },
  "a link signs in": async ({ page, link }, must) => {
    await page.goto(link);
    await page.getByRole("heading", { name: "Home" }).waitFor();
    must(!page.url().includes("link"), "the link's code stays in the address");
    must((await page.title()).startsWith("Home"), `the page's title is ${await page.title()}`);
  },
  "a used link signs nobody in, and says why": async ({ browser, link, complaints }) => {
    const other = await visitor(browser, complaints, new Set([401]));
    await other.page.goto(link);
    await other.page.getByText("This link was used already").waitFor();
    await tokenField(other.page).waitFor();
    await other.context.close();
  },
};

export const signOut = {
  "signing out closes the session": async ({ page, context, origin, expected }, must) => {
    expected.add(401);
    await page.getByRole("button", { name: /^Sign out/ }).click();
    await tokenField(page).waitFor();
    const answer = await context.request.get(`${origin}/k8s/api/v1/pods`);
    must(answer.status() === 401, `the API answers ${answer.status()} after signing out`);
  },
};
