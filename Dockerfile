# The static binary, and nothing else. `docker build -t reload-gate .`, or the same with buildah or podman.
#
# REVISION is what `reload_gate_build_info` says of it. RUST_IMAGE is any image with Rust for glibc; the binary carries its libc, so it runs in every image.

ARG RUST_IMAGE=docker.io/library/rust:1-slim-bookworm

FROM ${RUST_IMAGE} AS build
ARG REVISION=unknown
WORKDIR /src
COPY . .
RUN set -eu; \
    target=$(rustc -vV | sed -n 's/^host: //p'); \
    RELOAD_GATE_REVISION=$REVISION RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target "$target"; \
    install -D "target/$target/release/reload-gate" /out/reload-gate

FROM scratch
COPY --from=build /out/reload-gate /reload-gate
ENTRYPOINT ["/reload-gate"]
CMD ["run"]
