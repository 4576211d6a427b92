#!/usr/bin/env bash
# The NAT laboratory: builds the programs, then runs cases.py in namespaces of its own for users of the network,
# mounts and processes. So it cannot touch this machine's network, nothing of it can leave the machine, and all of
# it is gone with its first process, whatever ends that. Arguments name single cases. Exit code 77: this machine
# permits no namespaces, or a program is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin

for program in ip iptables turnserver unshare setpriv python3; do
    if ! command -v "$program" >/dev/null; then
        echo "$program is not installed" >&2
        exit 77
    fi
done

cargo build --workspace --bins --example impair --example load --example hostile --locked

as_root=()
((EUID == 0)) || as_root=(--user --map-root-user)
namespaces=(unshare "${as_root[@]}" --mount --net --pid --fork --kill-child --mount-proc)
inside='mount -t tmpfs laboratory /run'
if ! "${namespaces[@]}" bash -c "$inside && ip netns add x && ip netns exec x iptables -t nat -L" >/dev/null; then
    echo "no namespaces for the laboratory here" >&2
    exit 77
fi

# `ip netns` and iptables keep their names and locks in /run, which is the laboratory's own too. unshare passes
# no signal on, so it is killed, and with it everything; setpriv has the kernel do that even if this is killed.
setpriv --pdeathsig KILL "${namespaces[@]}" bash -c "$inside && exec python3 -B tests/nat/cases.py \"\$@\"" \
    laboratory "$@" &
laboratory=$!
trap 'kill -KILL "$laboratory" 2>/dev/null || true' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
wait "$laboratory"
