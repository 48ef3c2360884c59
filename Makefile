# Every target explains itself: `make help`.

# Third-party builds are kept outside the checkout, so that a fresh one reuses them.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/tiphys/target
TARGET := x86_64-unknown-linux-gnu
NODES ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup ui build quick run test lint bench soak clean

help: ## Say what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Install the Debian packages that are missing
	@deploy/setup/setup.sh run

# Not `npm ci`: it refuses a lock file without download addresses for packages of other platforms.
ui: ## Build the dashboard's pages
	cd web/ui && npm install --no-audit --no-fund && npm run build

build: ui ## Build the release binary: target/release/tiphys
	TIPHYS_COMMIT=$$(git rev-parse HEAD 2>/dev/null || echo unknown) cargo build --locked --release -p tiphys-node
	@mkdir -p target/release
	@ln -f $(CARGO_TARGET_DIR)/$(TARGET)/release/tiphys target/release/tiphys 2>/dev/null \
		|| cp $(CARGO_TARGET_DIR)/$(TARGET)/release/tiphys target/release/tiphys

quick: ui ## Build the development binary: target/debug/tiphys
	cargo build --locked -p tiphys-node
	@mkdir -p target/debug
	@strip -o target/debug/tiphys $(CARGO_TARGET_DIR)/$(TARGET)/debug/tiphys  # it is copied into every node's image store

run: setup quick ## Start a cluster of three nodes with the sample app; Ctrl-C takes it down
	@target/debug/tiphys up --nodes $(NODES) --sample

test: ## Run every test, end to end on real containers (root; installs what is missing)
	@deploy/setup/setup.sh test
	$(MAKE) quick
	cd web/ui && npm test
	TIPHYS_BINARY=$(CURDIR)/target/debug/tiphys cargo test --locked --workspace

lint: ## Formatting and clippy
	cargo fmt --all -- --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

soak: quick ## The long forms of the chaos and torture tests
	TIPHYS_SOAK=1 TIPHYS_BINARY=$(CURDIR)/target/debug/tiphys cargo test --locked --workspace --test e2e -- --nocapture

# Sets of series, scale, hours: see metrics/benches/series/main.rs.
SERIES = "hosts 4000 12" "mix 1000 4" "mix 10000 1" "nodes 1000 6"

# Peers of the benches: what is on the PATH under these names. PROMETHEUS=/path is another one, PROMETHEUS= none.
PROMETHEUS ?= $(shell command -v prometheus 2>/dev/null)
VICTORIA_METRICS ?= $(shell command -v victoria-metrics 2>/dev/null)
VICTORIA_LOGS ?= $(shell command -v victoria-logs 2>/dev/null || command -v victoria-logs-prod 2>/dev/null)
KUBE_APISERVER ?=
# Says whether one is measured: its name, its variable, where it comes from.
told = @echo "$(1): $(if $($(2)),$($(2)),not measured; $(3), or $(2)=/path)"
# Gives one to a bench, which takes a variable that is empty for a path.
with = env -u $(1) $(if $($(1)),$(1)="$($(1))")

# Logs: 10M records over 200, then 5,000 streams; TIPHYS_BENCH_RECORDS=100000000 for the long run,
# TIPHYS_BENCH_STREAMS=, TIPHYS_BENCH_FOLDER= (5 GB; 13 GB for each set of 100M).
bench: build ## Measure the numbers of docs/benchmarks.md, beside the peers that are there (it names them)
	$(call told,kube-apiserver,KUBE_APISERVER,a binary of a Kubernetes release)
	$(call told,VictoriaLogs,VICTORIA_LOGS,a binary of its releases on the PATH as victoria-logs)
	$(call told,Prometheus,PROMETHEUS,deploy/setup/setup.sh bench installs it)
	$(call told,VictoriaMetrics,VICTORIA_METRICS,deploy/setup/setup.sh bench installs it)
	$(call with,KUBE_APISERVER) TIPHYS_BINARY=$(CURDIR)/target/release/tiphys \
		cargo run --locked --release -p tiphys-tests --bin bench
	$(call with,VICTORIA_LOGS) cargo bench --locked -p tiphys-logging --bench node
	cargo bench --locked -p tiphys-runtime --bench sampling
	cargo bench --locked -p tiphys-metrics --bench nodes
	for set in $(SERIES); do set -- $$set; \
		$(call with,PROMETHEUS) $(call with,VICTORIA_METRICS) \
		TIPHYS_BENCH_SET=$$1 TIPHYS_BENCH_SCALE=$$2 TIPHYS_BENCH_HOURS=$$3 \
		cargo bench --locked -p tiphys-metrics --bench series || exit 1; done

clean: ## Remove what was built here
	rm -rf target web/ui/dist web/ui/node_modules
