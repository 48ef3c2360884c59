#!/usr/bin/env bash
# Installs what a node, the build and the tests need on Debian. Says what and why
# before it does so, and does nothing when all is there.
#   setup.sh run     what `make run` needs
#   setup.sh test    that and what the tests need
#   setup.sh bench   what `make run` needs, and the peers of `make bench` that Debian has
set -euo pipefail

purpose=${1:-run}
case $purpose in run | test | bench) ;; *)
    echo "setup.sh run, setup.sh test or setup.sh bench, and not \"$purpose\"" >&2
    exit 1
    ;;
esac
missing=()
reasons=()

need() { # program-or-file package why
    if [[ $1 == /* ]]; then [ -e "$1" ] && return; else command -v "$1" >/dev/null 2>&1 && return; fi
    missing+=("$2")
    reasons+=("$(printf '  %-28s %s' "$2" "$3")")
}

# Of these the program is wanted and no server that a package would start, now and at each boot.
stopped=()
need_stopped() { # program package why
    local before=${#missing[@]}
    need "$@"
    if [ "${#missing[@]}" -gt "$before" ]; then stopped+=("$2"); fi
}

# Installs what is missing. A policy-rc.d that is there already is somebody's own and stays.
install_missing() {
    local policy=/usr/sbin/policy-rc.d service
    if [ "${#stopped[@]}" -gt 0 ] && [ ! -e "$policy" ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        {
            echo '#!/bin/sh'
            printf 'case "$1" in %s) exit 101 ;; esac\n' "$(IFS='|' && echo "${stopped[*]/%/*}")"
        } >"$policy"
        chmod 755 "$policy"
    fi
    apt-get -o DPkg::Lock::Timeout=300 update -q
    apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${missing[@]}"
    for service in ${stopped[@]+"${stopped[@]}"}; do
        if command -v systemctl >/dev/null 2>&1; then systemctl disable -q "$service" 2>/dev/null || true; fi
    done
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
    need_stopped prometheus prometheus "answers the same queries as the metrics server"
    need psql postgresql-client "asks over the Postgres wire"
    need /usr/bin/python3 python3 "runs the Python client, and pip, that brings it and Go"
    need /usr/lib/python3.11/ensurepip python3-venv "a place for the Python client"
fi
if [ "$purpose" = bench ]; then
    need_stopped prometheus prometheus "is measured on the same series and queries"
    need_stopped victoria-metrics victoria-metrics "is measured on the same series and queries"
fi

if [ "${#missing[@]}" -gt 0 ]; then
    echo "These Debian packages are missing and will be installed:"
    printf '%s\n' "${reasons[@]}"
    if [ "$(id -u)" -ne 0 ]; then
        echo "This needs root. Run: sudo $0 $purpose" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    install_missing
fi

for program in cargo node npm; do
    command -v "$program" >/dev/null 2>&1 || {
        echo "$program is missing: install Rust with rustup (rustup.rs) and Node.js 20 or later" >&2
        exit 1
    }
done
