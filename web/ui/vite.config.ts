// The build, and the development server. With TIPHYS_DASHBOARD set to a running
// dashboard's address (http://127.0.0.1:6480), `npm run dev` shows its data.

import tailwind from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { compress } from "./build/compress.ts";

const dashboard = process.env.TIPHYS_DASHBOARD ?? "http://127.0.0.1:6480";

/** The dashboard answers only to its own address, and only its own pages. */
const toDashboard = { target: dashboard, changeOrigin: true, headers: { origin: dashboard } };
const proxy = { "/k8s": toDashboard, "/auth": toDashboard };

export default defineConfig({
  plugins: [react(), tailwind(), compress()],
  // Inlined fonts and pictures would need data: in the content security policy.
  build: { assetsInlineLimit: 0, chunkSizeWarningLimit: 600 },
  server: { proxy },
  preview: { proxy },
});
