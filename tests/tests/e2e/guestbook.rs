//! An application of three parts: a frontend that writes to a primary and reads from its
//! replicas, each found by its Service's name, and all of it reached through the API server.

use std::time::Duration;

use anyhow::{Result, ensure};
use tiphys_tests::eventually;

use crate::{
    Shared,
    kubectl_every::{Session, Step, once},
};

const LIMIT: Duration = Duration::from_secs(120);

/// Scripts of a web server's: an entry comes and is read as its query says.
const SCRIPTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: scripts, labels: {app: guestbook}}
data:
  primary: |
    #!/bin/sh
    printf 'Content-Type: text/plain\r\n\r\n'
    touch /tmp/entries
    # Who heard no answer says it again.
    case "$QUERY_STRING" in set=*)
      grep -qx "${QUERY_STRING#set=}" /tmp/entries || echo "${QUERY_STRING#set=}" >> /tmp/entries ;;
    esac
    cat /tmp/entries
  replica: |
    #!/bin/sh
    printf 'Content-Type: text/plain\r\n\r\n'
    curl -sfm 60 http://primary:6379/cgi-bin/primary
  frontend: |
    #!/bin/sh
    printf 'Content-Type: text/plain\r\n\r\n'
    case "$QUERY_STRING" in
      set=*) curl -sfm 60 "http://primary:6379/cgi-bin/primary?$QUERY_STRING" ;;
      *) curl -sfm 60 http://replica:6379/cgi-bin/replica ;;
    esac
"#;

const PARTS: &[(&str, u32)] = &[("primary", 1), ("replica", 2), ("frontend", 2)];

fn part(name: &str, replicas: u32) -> String {
    format!(
        "
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, labels: {{app: guestbook, part: {name}}}}}
spec:
  selector: {{app: guestbook, part: {name}}}
  ports: [{{port: 6379}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{app: guestbook}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: guestbook, part: {name}}}}}
  template:
    metadata: {{labels: {{app: guestbook, part: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: test.local/curl:1
        command: [httpd, -f, -p, '6379', -h, /www]
        ports: [{{containerPort: 6379}}]
        readinessProbe: {{tcpSocket: {{port: 6379}}, periodSeconds: 1, timeoutSeconds: 60}}
        volumeMounts: [{{name: scripts, mountPath: /www/cgi-bin}}]
      volumes: [{{name: scripts, configMap: {{name: scripts, defaultMode: 0755}}}}]
"
    )
}

const STEPS: &[Step] = &[("guestbook", guestbook)];

pub fn walk(shared: &Shared) -> Result<()> {
    once(shared, "guestbook", STEPS)
}

fn guestbook(session: &Session<'_>) -> Result<()> {
    let parts: String = PARTS.iter().map(|(name, replicas)| part(name, *replicas)).collect();
    let all = format!("{SCRIPTS}{parts}");
    session.manifest(&["create"], &all, &["deployment.apps/frontend created"])?;
    for (name, _) in PARTS {
        let deployment = format!("deployment/{name}");
        session.says(&["rollout", "status", &deployment, "--timeout=120s"], &["successfully rolled out"])?;
    }
    let frontend =
        format!("/api/v1/namespaces/{}/services/frontend:6379/proxy/cgi-bin/frontend", session.namespace);
    // By either replica, from either frontend, whose nodes may lack the rules of a Service for a moment.
    let holds = |expected: &str| {
        let read = || {
            for _ in 0..4 {
                let entries = session.ok(&["get", "--raw", &frontend])?;
                ensure!(entries == expected, "the book holds {entries:?}");
            }
            Ok(())
        };
        eventually(LIMIT, read)
    };
    holds("")?;
    eventually(LIMIT, || {
        let written = session.ok(&["get", "--raw", &format!("{frontend}?set=TestEntry")])?;
        ensure!(written == "TestEntry\n", "the primary says {written:?}");
        Ok(())
    })?;
    holds("TestEntry\n")?;
    session.manifest(&["delete"], &all, &["deleted"])?;
    eventually(LIMIT, || {
        let kinds = "deployments,replicasets,pods,services,endpoints";
        let left = session.ok(&["get", kinds, "-l", "app=guestbook", "-o", "name"])?;
        ensure!(left.is_empty(), "still there: {left}");
        Ok(())
    })
    .map(drop)
}
