// The SQL page: table, chart, messages, and the statement in the address.

const BY_NODE = "select node, count(*) as samples from node group by node order by node";
const OVER_TIME = "select time, node, cpu_cores from node where time >= $from and time < $to order by time";

const result = (page) => page.getByRole("region", { name: "Result" });

async function write(page, statement) {
  await page.getByRole("textbox", { name: "SQL" }).click();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(statement);
  await page.keyboard.press("Control+Enter");
}

export const sql = {
  "SQL gives a table, and bars": async ({ page, open, parameters }, must) => {
    await open("/sql");
    await write(page, BY_NODE);
    await result(page).locator("[data-row]").nth(2).waitFor();
    const rows = await result(page).locator("[data-row]").allTextContents();
    must(rows.map((text) => text.slice(0, 6)).join() === "node-1,node-2,node-3", `rows: ${rows}`);
    must(parameters().get("q") === BY_NODE, "the statement is not in the address");
    await result(page).getByRole("button", { name: "Chart" }).click();
    await result(page).locator("[data-bar]").nth(2).waitFor();
    await result(page).getByRole("button", { name: "Table" }).click();
  },
  "SQL over time gives lines": async ({ page }) => {
    await write(page, OVER_TIME);
    await result(page).getByRole("columnheader", { name: "cpu_cores" }).waitFor();
    await result(page).getByRole("button", { name: "Chart" }).click();
    await result(page).getByRole("img", { name: /^cpu_cores over time: node-1 .*node-3/ }).locator("canvas").waitFor();
  },
  "going back shows the statement before, and its answer": async ({ page, parameters }, must) => {
    await page.goBack();
    await page.waitForURL((url) => url.searchParams.get("q") === BY_NODE);
    await result(page).getByRole("columnheader", { name: "samples" }).waitFor();
    must((await page.getByRole("textbox", { name: "SQL" }).textContent())?.includes("samples"), "the editor shows another statement");
    must(parameters().get("q") === BY_NODE, page.url());
  },
  "a wrong statement gets a message": async ({ page, expected }) => {
    expected.add(400);
    await write(page, "select nod from node");
    await page.getByRole("alert").getByText(/nod/).waitFor();
    await result(page).waitFor({ state: "detached" });
  },
};
