# The static binary with CA certificates, and nothing else. `make image` builds it anywhere; so does `docker build -t reload-gate .`
#
# It has two images: the last stage runs as user 65532, and `--target root` as root. The latter replaces an old shell sidecar by its name
# alone: a process that signals an nginx which root started must be root, or have CAP_KILL (kill(2)).
#
# RUST_IMAGE is any image with Rust for glibc, a C compiler and CA certificates. The binary carries its libc, so it runs in every image.
# REVISION is a label of the metric `reload_gate_build_info`.
# The same sources and the same RUST_IMAGE give the same bytes: versions are locked, paths are remapped, nothing asks for the time.

ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm

FROM ${RUST_IMAGE} AS build
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
WORKDIR /src
COPY . .
RUN set -eu; \
    target=$(rustc -vV | sed -n 's/^host: //p'); \
    cargo_home=${CARGO_HOME:-$HOME/.cargo}; \
    export RELOAD_GATE_REVISION="$REVISION" SOURCE_DATE_EPOCH; \
    export CFLAGS="-ffile-prefix-map=$cargo_home=/cargo"; \
    export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$(rustc --print sysroot)=/rust"; \
    cargo build --profile dist --locked --target "$target"; \
    install -D "target/$target/dist/reload-gate" /out/reload-gate; \
    install -D -m 644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt; \
    mkdir /out/bin; \
    ln -s ../reload-gate /out/bin/prometheus-config-reloader; \
    ln -s reload-gate /out/configmap-reload; \
    find /out -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +; \
    rm -rf target

FROM scratch AS root
ARG REVISION=unknown
LABEL org.opencontainers.image.title="reload-gate" \
      org.opencontainers.image.description="A gate between a changing configuration and a running program: only verified changes pass" \
      org.opencontainers.image.source="https://github.com/reload-gate/reload-gate" \
      org.opencontainers.image.documentation="https://github.com/reload-gate/reload-gate/tree/main/docs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out /
ENTRYPOINT ["/reload-gate"]
CMD ["run"]

FROM root
USER 65532:65532
