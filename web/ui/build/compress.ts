// Leaves every text file of the build compressed, and only so: the server
// embeds them and sends them as they are. The first page stays readable beside
// its compressed form, since `make` looks for it.

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

const TEXT = /\.(js|css|html|svg|json)$/;
const KEPT = "index.html";

export function compress(): Plugin {
  let folder = "dist";
  return {
    name: "tiphys-compress",
    apply: "build",
    configResolved(config) {
      folder = config.build.outDir;
    },
    closeBundle() {
      for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !TEXT.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
        if (entry.name !== KEPT) rmSync(path);
      }
    },
  };
}
