#!/usr/bin/env bash
# Installs what a node, the build and the tests need on Debian. Says what and why
# before it does so, and does nothing when all is there.
#   setup.sh run     what `make run` needs
#   setup.sh test    that and what the tests need
set -euo pipefail

purpose=${1:-run}
missing=()
reasons=()

need() { # program-or-file package why
    if [[ $1 == /* ]]; then [ -e "$1" ] && return; else command -v "$1" >/dev/null 2>&1 && return; fi
    missing+=("$2")
    reasons+=("$(printf '  %-28s %s' "$2" "$3")")
}

export PATH="$PATH:/usr/sbin:/sbin"
need containerd containerd "runs the containers"
need runc runc "starts a container's process"
need /usr/lib/cni/bridge containernetworking-plugins "connects Pods to the node's network"
need nft nftables "forwards traffic of Services"
need conntrack conntrack "forgets UDP flows to Pods that are gone"
need kubectl kubernetes-client "talks to the cluster"
need gcc build-essential "compiles the C parts of some crates"
need protoc protobuf-compiler "compiles protocol definitions"
need /usr/include/google/protobuf/timestamp.proto libprotobuf-dev "the definitions that others import"
if [ "$purpose" = test ]; then
    need chromium chromium "the browser that drives the dashboard"
    need /bin/busybox busybox-static "the shell inside the test images"
    need /usr/bin/curl curl "asks others by name inside the test images"
    need etcd etcd-server "the other store, which passes the same tests as the embedded one"
    need /lib/systemd/systemd-journal-remote systemd-journal-remote "writes journal files as systemd does"
    need prometheus prometheus "answers the same queries as the metrics server"
    need psql postgresql-client "asks over the Postgres wire"
    need /usr/bin/python3 python3 "runs the Python client, and pip, that brings it and Go"
    need /usr/lib/python3.11/ensurepip python3-venv "a place for the Python client"
fi

if [ "${#missing[@]}" -gt 0 ]; then
    echo "These Debian packages are missing and will be installed:"
    printf '%s\n' "${reasons[@]}"
    if [ "$(id -u)" -ne 0 ]; then
        echo "This needs root. Run: sudo make setup" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=300 update -q
    apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${missing[@]}"
fi

for program in cargo node npm; do
    command -v "$program" >/dev/null 2>&1 || {
        echo "$program is missing: install Rust with rustup (rustup.rs) and Node.js 20 or later" >&2
        exit 1
    }
done
