# Two images: `docker build --target server .` and `docker build --target tui-client .`
# Each has its dependencies in a layer of their own, made from the manifests alone, so that a change of the
# sources compiles the sources only. Nothing here needs BuildKit; stages stand in the order of need, because
# the classic builder builds every stage above the target.

FROM rust:1.95-slim-bookworm AS manifests
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY server/Cargo.toml server/
COPY peer/Cargo.toml peer/
COPY tui-client/Cargo.toml tui-client/
COPY bench/Cargo.toml bench/
COPY simulation/Cargo.toml simulation/
# Empty sources in place of ours, and no mention of tests, which would have to be there.
RUN mkdir proto && touch proto/lib.rs && echo 'fn main() {}' >build.rs \
    && for package in server peer tui-client bench simulation; do \
        mkdir $package/src && touch $package/src/lib.rs && echo 'fn main() {}' >$package/src/main.rs \
        && awk '/^\[/ { skip = /^\[\[(test|bench|example)\]\]/ } !skip' $package/Cargo.toml >manifest \
        && mv manifest $package/Cargo.toml || exit; \
    done

FROM manifests AS server-dependencies
# What was compiled from the empty sources must go: ours are older than it, and cargo compares times.
RUN cargo build --release --locked --package patchcord-server \
    && cargo clean --release --package patchcord-proto --package patchcord-server

FROM server-dependencies AS server-build
COPY . .
RUN cargo build --release --locked --package patchcord-server

FROM debian:bookworm-slim AS server
COPY --from=server-build /build/target/release/patchcord-server /usr/local/bin/
# Inside of a container the admin door must be reachable from outside of it. So the server asks for one of
# PATCHCORD_ADMIN_KEYS_FILE, PATCHCORD_ADMIN_TOKEN_FILE, PATCHCORD_ADMIN_TOKEN and PATCHCORD_ADMIN_CLIENT_CA, or for
# PATCHCORD_ADMIN_OPEN=true where what the container publishes decides who may reach it.
ENV PATCHCORD_ADMIN_LISTEN=0.0.0.0:50052
USER 10001:10001
EXPOSE 50051 50052
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s --retries=3 CMD ["patchcord-server", "ready"]
ENTRYPOINT ["patchcord-server"]

FROM server-dependencies AS tui-client-dependencies
RUN cargo build --release --locked --package patchcord \
    && cargo clean --release --package patchcord-proto --package patchcord-server \
        --package patchcord-peer --package patchcord

FROM tui-client-dependencies AS tui-client-build
COPY . .
RUN cargo build --release --locked --package patchcord

FROM debian:bookworm-slim AS tui-client
COPY --from=tui-client-build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=tui-client-build /build/target/release/patchcord /usr/local/bin/
# A new volume that is mounted here gets the owner that the folder has.
RUN mkdir -m 700 /var/lib/patchcord && chown 10001:10001 /var/lib/patchcord
ENV LANG=C.UTF-8 XDG_DATA_HOME=/var/lib/patchcord/data XDG_STATE_HOME=/var/lib/patchcord/state
USER 10001:10001
ENTRYPOINT ["patchcord"]
