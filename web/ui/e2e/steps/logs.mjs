// Log search: marks, histogram, facets, details, live tail. The Pod `talker`
// writes `tick N` each second, every fifth as a warning.

const records = (page) => page.locator("[data-record]");
const bars = (page) => page.getByRole("img", { name: /records over time/ });
const total = async (page) => Number(/(\d+) records/.exec((await bars(page).getAttribute("aria-label")) ?? "")?.[1]);
const lastTick = async (page) => Number(/tick (\d+)/.exec((await records(page).first().textContent()) ?? "")?.[1]);

export const logs = {
  "a log search finds and marks a word": async ({ page, open, namespace }, must) => {
    await open(`/logs?ns=${namespace}`);
    await page.getByLabel("Log query").fill("tick");
    await page.keyboard.press("Enter");
    const mark = page.locator("[data-record] mark").first();
    await mark.waitFor();
    must((await mark.textContent()) === "tick", `marked ${await mark.textContent()}`);
    must(new URL(page.url()).searchParams.get("q") === "tick", "the query is not in the address");
  },
  "a record opens with its fields and what stood around it": async ({ page }) => {
    await records(page).first().focus();
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "container main" }).waitFor();
    await page.getByRole("button", { name: "Show context" }).click();
    await page.locator("[data-record] + div ol li").nth(1).waitFor();
    await records(page).first().click();
  },
  "a facet narrows the query; back and forward keep it": async ({ page, parameters }, must) => {
    const facet = page.getByRole("complementary", { name: "Facets" }).getByRole("button", { name: /^warn / });
    await facet.click();
    await page.waitForURL((url) => url.searchParams.get("q") === "tick level:warn");
    await page.getByRole("button", { name: /^warn /, pressed: true }).waitFor();
    await page.waitForFunction(() => [...document.querySelectorAll("[data-record]")].every((record) => record.textContent?.includes("warn")));
    await page.goBack();
    await page.waitForFunction(() => [...document.querySelectorAll("[data-record]")].some((record) => !record.textContent?.includes("warn")));
    must(parameters().get("q") === "tick", `back leads to ${page.url()}`);
    must((await page.getByLabel("Log query").inputValue()) === "tick", "the field shows another query than the address");
    await page.goForward();
    await page.waitForURL((url) => url.searchParams.get("q") === "tick level:warn");
    await page.goBack();
  },
  "a broken query says where": async ({ page, open, expected }) => {
    expected.add(400);
    await open(`/logs?q=${encodeURIComponent("(tick")}`);
    await page.getByRole("alert").first().getByText("^").waitFor();
  },
  "the live tail shows what is written meanwhile": async ({ page, open, namespace }, must) => {
    await open(`/logs?ns=${namespace}&q=tick&live=1`);
    await page.getByText(/records · live/).waitFor();
    await records(page).first().waitFor();
    const [before, since] = [await lastTick(page), Date.now()];
    await page.waitForFunction(([before, since]) => {
      const newest = document.querySelector("[data-record]");
      const time = newest?.querySelector("[title]")?.getAttribute("title")?.split("\n")[1] ?? "";
      return Number(/tick (\d+)/.exec(newest?.textContent ?? "")?.[1]) >= before + 2 && Date.parse(time) > since;
    }, [before, since]);
    const all = (await records(page).allTextContents()).map((text) => Number(/tick (\d+)/.exec(text)?.[1]));
    // Below the first tick are those of a Pod of the same name that was here before.
    const ticks = all.includes(1) ? all.slice(0, all.indexOf(1) + 1) : all;
    must(ticks.every((tick, at) => at === 0 || tick === ticks[at - 1] - 1), `lines are missing, doubled or out of order: ${ticks}`);
  },
  "dragging over the histogram narrows the time": async ({ page, open, namespace, parameters }, must) => {
    await open(`/logs?ns=${namespace}&q=tick`);
    // The part that is dragged over must hold fewer than all: wait until the Pod has talked for longer.
    await page.waitForFunction(() => Number(/(\d+) records/.exec(document.querySelector("[role=img][aria-label*='over time']")?.getAttribute("aria-label") ?? "")?.[1]) > 15);
    const before = await total(page);
    const box = await bars(page).boundingBox();
    must(box && before > 0, "there is no histogram");
    const [top, right] = [box.y + box.height / 2, box.x + box.width];
    // The newest hundredth of the range is some seconds.
    await page.mouse.move(right - box.width * 0.012, top);
    await page.mouse.down();
    await page.mouse.move(right - 1, top, { steps: 4 });
    await page.mouse.up();
    await page.waitForURL((url) => url.searchParams.has("from"));
    const [from, to] = [Date.parse(parameters().get("from")), Date.parse(parameters().get("to"))];
    must(to > from && to - from < 60_000, `the range is ${to - from} ms`);
    await page.waitForFunction((before) => Number(/(\d+) records/.exec(document.querySelector("[role=img][aria-label*='over time']")?.getAttribute("aria-label") ?? "")?.[1]) < before, before);
    await page.getByRole("button", { name: "Back to now" }).click();
    await page.waitForURL((url) => !url.searchParams.has("from"));
  },
};
