// What others wrote is text, wherever it is shown. The manifests hold scripts
// that would set `window.owned`: in a log line, an annotation, an event.

const SCRIPT = "<script>window.owned=1</script>";
const PICTURE = '<img src=x onerror="window.owned=1">';

export const hostile = {
  "abuse_25_markup_of_others_is_inert": async ({ page, open, namespace }, must) => {
    const inert = async (where) => {
      must((await page.evaluate(() => window.owned)) === undefined, `a script ran: ${where}`);
      must((await page.locator("main img[src=x], main script").count()) === 0, `markup became elements: ${where}`);
    };
    await open(`/logs?ns=${namespace}&q=${encodeURIComponent("owned")}`);
    await page.locator("[data-record]").filter({ hasText: SCRIPT }).first().click();
    await page.locator("pre").getByText(SCRIPT).waitFor();
    await page.locator("[data-record]").filter({ hasText: PICTURE }).first().waitFor();
    await inert("a log line");
    await open(`/workloads/pods/${namespace}/talker`);
    await page.getByText(`note=${PICTURE}`).waitFor();
    await page.getByRole("region", { name: "Events" }).getByText(`said ${SCRIPT}`).waitFor();
    await inert("an annotation, an event");
    await open(`/?ns=${namespace}`);
    await page.getByRole("region", { name: "Warnings" }).getByText(SCRIPT).waitFor();
    await inert("a warning");
    await open(`/workloads/events?ns=${namespace}`);
    await page.getByText(`said ${SCRIPT}`).waitFor();
    await inert("a row");
    await open(`/logs?q=${encodeURIComponent(`"${PICTURE.replaceAll('"', '\\"')}"`)}&ns=${encodeURIComponent(SCRIPT)}&filter=${encodeURIComponent(SCRIPT)}`);
    await page.getByText(/Nothing matches/).waitFor();
    await inert("the address");
    await open(`/sql?q=${encodeURIComponent(`select '${SCRIPT}' as "${PICTURE.replaceAll('"', '""')}"`)}`);
    await page.getByRole("cell", { name: SCRIPT }).waitFor();
    await page.getByRole("columnheader", { name: PICTURE }).waitFor();
    await inert("a query's answer");
    const policy = (await page.request.get(page.url())).headers()["content-security-policy"] ?? "";
    must(/script-src 'self'(;|$)/.test(policy), `the policy is ${policy}`);
  },
};
