// Home, workloads, nodes: what there is, live.

const row = (page, name) => page.locator("[data-row]").filter({ hasText: name });

export const objects = {
  "home says what is broken and who uses what": async ({ page, open }) => {
    await open("/");
    const broken = page.getByRole("region", { name: "What is broken" });
    await broken.getByText(/walk\/broken/).first().waitFor();
    await page.getByRole("region", { name: "Warnings" }).getByRole("listitem").first().waitFor();
    await page.getByRole("img", { name: /^CPU of nodes over time: .*node-1/ }).waitFor();
    await page.getByRole("region", { name: "Busiest Pods" }).getByRole("link").first().waitFor();
    await broken.getByRole("link", { name: /Pod walk\/broken/ }).click();
    await page.getByRole("heading", { name: /Pod walk\/broken/ }).waitFor();
  },
  "workloads are live": async ({ page, context, open, origin, namespace }, must) => {
    const path = `${origin}/k8s/api/v1/namespaces/${namespace}/configmaps`;
    await open(`/workloads/configmaps?ns=${namespace}`);
    await page.getByText(/· live$/).waitFor();
    must((await row(page, "made-meanwhile").count()) === 0, "the ConfigMap is there already");
    const made = await context.request.post(path, { data: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "made-meanwhile" } } });
    must(made.ok(), `it can't be made: ${await made.text()}`);
    await row(page, "made-meanwhile").waitFor();
    await context.request.delete(`${path}/made-meanwhile`, { headers: { "content-type": "application/json" } });
    await row(page, "made-meanwhile").waitFor({ state: "detached" });
  },
  "a filter narrows, arrow keys walk, a name leads to details": async ({ page, open, namespace }, must) => {
    await open(`/workloads/pods?ns=${namespace}`);
    await row(page, "talker").waitFor();
    await page.getByLabel("Filter").fill("broken");
    await row(page, "talker").waitFor({ state: "detached" });
    await page.getByLabel("Filter").fill("");
    await row(page, "talker").waitFor();
    await row(page, "broken").getByRole("link").focus();
    await page.keyboard.press("ArrowDown");
    const reached = await page.evaluate(() => document.activeElement?.closest("[data-row]")?.textContent ?? "");
    must(reached !== "" && !reached.includes("broken"), `ArrowDown reaches ${reached || "nothing"}`);
    await row(page, "talker").getByRole("link").click();
    await page.getByRole("heading", { name: `Pod ${namespace}/talker` }).waitFor();
    await page.getByText("test.local/busybox:1", { exact: true }).waitFor();
    await page.goBack();
    await row(page, "talker").waitFor();
    must(new URL(page.url()).searchParams.get("ns") === namespace, "going back loses the namespace");
  },
  "nodes are listed, and one is shown with its Pods": async ({ page, open }, must) => {
    await open("/nodes");
    await row(page, "node-3").getByText("Ready", { exact: true }).waitFor();
    must((await page.locator("[data-row]").count()) === 3, "not three nodes");
    await row(page, "node-1").getByRole("link").click();
    await page.getByRole("heading", { name: "Node node-1" }).waitFor();
    await page.getByText("kubelet is posting ready status").waitFor();
    await page.getByRole("table", { name: "Pods" }).locator("[data-row]").first().waitFor();
  },
};
