// A service account that may view one namespace: by its token, and held to it.

export const fewRights = {
  "a wrong token is refused in words": async ({ page, open, expected }) => {
    expected.add(401);
    await open("/workloads/pods");
    await page.getByLabel("Or sign in with a token").fill("no-such-token");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("the cluster does not know this token").waitFor();
  },
  "a token signs in, and the asked-for page is shown": async ({ page, open, token, namespace, expected }, must) => {
    expected.add(401).add(403);
    await open(`/workloads/pods?ns=${namespace}&filter=talker`);
    await page.getByLabel("Or sign in with a token").fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator("[data-row]").filter({ hasText: "talker" }).waitFor();
    must(page.url().endsWith(`/workloads/pods?ns=${namespace}&filter=talker`), `the address became ${page.url()}`);
  },
  "few rights: pages say what is hidden": async ({ page, open, namespace, expected }, must) => {
    expected.add(403);
    await open("/");
    const hidden = page.getByRole("status").filter({ hasText: "your rights do not reach this" });
    await hidden.getByText("Nodes, Deployments, Pods of all namespaces").waitFor();
    for (const name of ["Nodes", "Deployments", "Pods"]) await page.getByRole("link", { name: new RegExp(`^${name} . hidden`) }).waitFor();
    must((await page.getByRole("alert").count()) === 0, "what is hidden is shown as an error");
    await page.getByRole("button", { name: `Look at namespace ${namespace}` }).first().click();
    await page.waitForURL((url) => url.searchParams.get("ns") === namespace);
    await page.getByRole("link", { name: /^Pods \d+/ }).waitFor();
    for (const path of ["/nodes", "/nodes/node-1", "/workloads/pods", "/autoscaler", "/workloads/pods/tiphys-system/none"]) {
      await open(path);
      await hidden.first().waitFor();
      must((await page.getByRole("alert").count()) === 0, `${path} shows an error`);
    }
  },
  "few rights: logs and SQL hold only what may be seen": async ({ page, open, namespace, expected }, must) => {
    expected.add(403);
    await open("/logs");
    await page.locator("[data-record]").first().waitFor();
    await page.getByText("the records of the others are hidden").waitFor();
    const facets = page.getByRole("complementary", { name: "Facets" }).getByRole("region", { name: "namespace" });
    await facets.getByRole("listitem").first().waitFor();
    const names = await facets.getByRole("listitem").allTextContents();
    must(names.length === 1 && names[0].startsWith(namespace), `facets name ${names}`);
    await open(`/sql?q=${encodeURIComponent("select distinct namespace from pod")}`);
    await page.locator("[data-row]").first().waitFor();
    const seen = await page.locator("[data-row]").allTextContents();
    must(seen.join() === namespace, `SQL shows ${seen}`);
    await open(`/sql?q=${encodeURIComponent("select * from node")}`);
    await page.getByText("gives no rows").waitFor();
  },
};
