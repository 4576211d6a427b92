#!/usr/bin/env bash
# Makes sure that the images the Dockerfile and docker-compose.yml begin from are here. Where no
# registry answers, it builds stand-ins under the same names: Debian by debootstrap, Rust from that
# and this machine's toolchain, coturn from that and Debian's package. A machine that can pull pulls.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rust_image=$(sed -n 's/^FROM \(rust:[^ ]*\).*/\1/p' "$root/Dockerfile" | head -n 1)
debian_image=$(sed -n 's/^FROM \(debian:[^ ]*\).*/\1/p' "$root/Dockerfile" | head -n 1)
coturn_image=$(sed -n 's/^ *image: *\(coturn\/[^ ]*\).*/\1/p' "$root/docker-compose.yml" | head -n 1)
: "${rust_image:?no Rust image in the Dockerfile}" "${debian_image:?no Debian image in the Dockerfile}"
: "${coturn_image:?no coturn image in docker-compose.yml}"

have() {
    docker image inspect "$1" >/dev/null 2>&1 || timeout 300 docker pull --quiet "$1" 2>"$work/pull"
}

debian() {
    local suite=${debian_image#debian:}
    debootstrap --variant=minbase "${suite%-slim}" "$work/debian" \
        http://deb.debian.org/debian >"$work/debootstrap.log" || { tail "$work/debootstrap.log" >&2; return 1; }
    # As the official slim image: no documentation, no package lists.
    rm -rf "$work"/debian/var/lib/apt/lists/* "$work"/debian/var/cache/apt/*.bin \
        "$work"/debian/var/cache/apt/archives/*.deb "$work"/debian/usr/share/{doc,man,info,locale}/*
    tar -C "$work/debian" -c . | docker import -c 'CMD ["bash"]' - "$debian_image" >/dev/null
}

rust() {
    mkdir -p "$work/rust/toolchain"
    tar -C "$(rustc --print sysroot)" --exclude=./share --exclude=./lib/rustlib/src -c . |
        tar -x -C "$work/rust/toolchain"
    # This machine's certificates, because its way to the registry of crates may need them.
    cp /etc/ssl/certs/ca-certificates.crt "$work/rust/"
    cat >"$work/rust/Dockerfile" <<DOCKERFILE
FROM $debian_image
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev && \
    rm -rf /var/lib/apt/lists/*
COPY ca-certificates.crt /etc/ssl/certs/
COPY toolchain /usr/local/rust
ENV PATH=/usr/local/rust/bin:\$PATH CARGO_HOME=/usr/local/cargo
DOCKERFILE
    DOCKER_BUILDKIT=0 docker build --quiet --tag "$rust_image" "$work/rust" >/dev/null
}

coturn() {
    DOCKER_BUILDKIT=0 docker build --quiet --tag "$coturn_image" - >/dev/null <<DOCKERFILE
FROM $debian_image
RUN apt-get update && apt-get install -y --no-install-recommends coturn && rm -rf /var/lib/apt/lists/*
USER nobody:nogroup
ENTRYPOINT ["turnserver"]
DOCKERFILE
}

stand_in() {
    have "$1" && return
    echo "stand-in for $1: $(head -n 1 "$work/pull")" >&2
    "$2"
}

stand_in "$debian_image" debian
stand_in "$rust_image" rust
stand_in "$coturn_image" coturn
