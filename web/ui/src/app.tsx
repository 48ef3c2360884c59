// Pages by address, behind the sign-in.

import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect } from "react";
import { Redirect, Route, Switch } from "wouter";
import { ApiError, onSignedOut } from "./api/http";
import { whoAmI } from "./api/session";
import { Empty, Problem } from "./components/Notice";
import { forgetLive } from "./live/useLive";
import { Autoscaler } from "./pages/autoscaler/Autoscaler";
import { Home } from "./pages/home/Home";
import { Logs } from "./pages/logs/Logs";
import { NodePage } from "./pages/nodes/NodePage";
import { Nodes } from "./pages/nodes/Nodes";
import { SignIn } from "./pages/sign-in/SignIn";
import { ObjectPage } from "./pages/workloads/ObjectPage";
import { PodPage } from "./pages/workloads/PodPage";
import { Workloads } from "./pages/workloads/Workloads";
import { Shell } from "./shell";

const Sql = lazy(() => import("./pages/sql/Sql"));

export function App() {
  const queries = useQueryClient();
  const session = useQuery({ queryKey: ["session"], queryFn: ({ signal }) => whoAmI(signal), staleTime: 60_000 });
  useEffect(() => onSignedOut(() => {
    forgetLive();
    void queries.invalidateQueries({ queryKey: ["session"] });
  }), [queries]);
  if (session.error instanceof ApiError && session.error.status === 401) return <SignIn />;
  if (session.error) return <Problem error={session.error} />;
  if (!session.data) return null;
  return (
    <Shell user={session.data.user}>
      <Suspense fallback={<Empty>Loading…</Empty>}>
        <Switch>
          <Route path="/" component={Home} />
          <Route path="/workloads"><Redirect to="/workloads/pods" replace /></Route>
          <Route path="/workloads/pods/:namespace/:name">{(at) => <PodPage key={at.namespace + at.name} namespace={at.namespace} name={at.name} />}</Route>
          <Route path="/workloads/:plural/:namespace/:name">{(at) => <ObjectPage plural={at.plural} namespace={at.namespace} name={at.name} />}</Route>
          <Route path="/workloads/:plural">{(at) => <Workloads plural={at.plural} />}</Route>
          <Route path="/nodes" component={Nodes} />
          <Route path="/nodes/:name">{(at) => <NodePage name={at.name} />}</Route>
          <Route path="/logs" component={Logs} />
          <Route path="/sql" component={Sql} />
          <Route path="/autoscaler" component={Autoscaler} />
          <Route path="/sign-in"><Redirect to="/" replace /></Route>
          <Route><Empty>There is no such page.</Empty></Route>
        </Switch>
      </Suspense>
    </Shell>
  );
}
