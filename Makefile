# Weft's tasks. `make` alone lists them.

CARGO ?= cargo
WEFT := target/release/weft
PROFILE := $(if $(CI),ci,default)
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/sbin:/sbin

.DEFAULT_GOAL := help
.PHONY: help deps demo demo-down demo-status test verify fix bench sim chaos failover calm

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

deps: ## install what is missing on this machine (Debian packages, cargo-nextest)
	@deploy/install-deps.sh

demo: ## install, build, and start a five-node cluster on this machine
	@deploy/install-deps.sh demo
	$(CARGO) build --release --locked --bin weft
	@$(WEFT) demo up

demo-status: ## how the demo is doing
	@$(WEFT) demo status

demo-down: ## remove every trace of the demo
	@[ -x $(WEFT) ] || $(CARGO) build --release --locked --bin weft
	@$(WEFT) demo down

test: deps ## install, build and run every test; counts per ring at the end
	@PROFILE=$(PROFILE) CARGO="$(CARGO)" deploy/test.sh

verify: ## read-only checks: format, lints, house rules, licences
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --locked -q -p weft-tests --test house
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --all-features check licenses bans sources; \
	else echo "verify: cargo-deny is not installed, licences were not checked (cargo install --locked cargo-deny)"; fi

fix: ## write what verify would complain about and a tool can change
	$(CARGO) fmt --all
	$(CARGO) clippy --workspace --all-targets --fix --allow-dirty --allow-staged

bench: ## measure beside etcd and Swarm mode: ONLY=p1,p6 ROUNDS=3 ARGS=--quick
	@deploy/install-deps.sh bench
	$(CARGO) build --release --locked --bin weft --bin weft-bench
	@target/release/weft-bench $(ONLY) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

sim: ## simulate whole clusters in one process: SEEDS=200 [SEED=1]
	@RUSTFLAGS="--cfg tokio_unstable" $(CARGO) run --locked -q --profile sim --target-dir target/sim \
		-p weft-sim -- $(or $(SEEDS),200) $(or $(SEED),1) $(LOG)

chaos: ## soak with faults: [SEED=..] [KILLS=1000] [MINUTES=..] [MANAGERS=3] [FAULTS=kill,stop,cut]
	$(CARGO) build --locked --bin weft
	$(CARGO) run --locked -q -p weft-chaos --example chaos -- $(if $(SEED),--seed $(SEED)) \
		$(if $(KILLS),--kills $(KILLS)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(MANAGERS),--managers $(MANAGERS)) $(if $(FAULTS),--faults $(FAULTS))

failover: ## kill the leader [KILLS=100] times and time the next write
	$(CARGO) build --release --locked --bin weft
	$(CARGO) run --release --locked -q -p weft-chaos --example chaos -- failover --kills $(or $(KILLS),100)

calm: ## write for [MINUTES=10] on busy cores and count elections
	$(CARGO) build --locked --bin weft
	$(CARGO) run --locked -q -p weft-chaos --example chaos -- calm --minutes $(or $(MINUTES),10)
