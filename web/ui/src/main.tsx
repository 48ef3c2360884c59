// The first file: theme, queries, pages.

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/http";
import { App } from "./app";
import { applyTheme } from "./state/theme";
import "./styles.css";

applyTheme();

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
      refetchOnWindowFocus: true,
      gcTime: 60_000,
    },
  },
});

const root = document.getElementById("root");
if (root) createRoot(root).render(<QueryClientProvider client={queries}><App /></QueryClientProvider>);
