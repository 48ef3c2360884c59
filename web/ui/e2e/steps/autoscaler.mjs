// Decisions with their reasons. The autoscaler `hello` is under load.

export const autoscaler = {
  "the autoscaler page says what was decided and why": async ({ page, open, namespace }, must) => {
    await open(`/autoscaler?ns=${namespace}`);
    const card = page.getByRole("region", { name: `${namespace}/hello` });
    await card.getByText(/of 1 to 3 replicas/).waitFor();
    await card.getByText("cpu").first().waitFor();
    const up = page.locator("[data-decision]").filter({ hasText: /1 → [23]/ });
    await up.first().waitFor();
    const said = (await up.first().textContent()) ?? "";
    must(/scale up from 1 to [23]: cpu is at \d+% of requests, target 50%/.test(said), `it says: ${said}`);
    await up.first().locator("summary").click();
    await up.first().getByRole("cell", { name: "50 Utilization" }).waitFor();
  },
};
