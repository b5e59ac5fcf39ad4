# What people do with this repository. `make` alone lists it.

.DEFAULT_GOAL := help
.PHONY: help demo tools test soak lint bench fuzz

SCRIPTS := .ci/run tests/demo $(wildcard tests/tools/*)

help: ## list these
	@sed -n 's/^\([a-z]*\): ## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: ## build, publish a year of flights, project them, query them (KEEP=1 leaves everything running)
	@KEEP=$(KEEP) tests/demo

# The tests obtain their tools themselves; fetched beforehand, no test's time is spent on it.
tools: ## fetch what the tests run beside viewd, and print where it is
	@tests/tools/nats-server
	@tests/tools/nats-server-2.9
	@tests/tools/promtool

test: tools ## run all tests
	cargo test --locked

# A failing case is written to tests/proptest-regressions, a failing seed is printed: CHAOS_SEED=N runs it alone.
soak: ## the laws for 10,000 random cases, the bad network for 200 seeds, 100 cut-overs, 100 kills of a rebuild, an hour of commits, 1,000 losses of power, full-text indexes through 1,000 histories, 2,000 queries over all real text (PROPTEST_CASES=N, CHAOS_SEEDS=N, CUT_OVERS=N, REBUILD_KILLS=N, COMMITS=N, POWER_PAIRS=N, SEARCH_CASES=N, SEARCH_QUERIES=N for others)
	@tests/tools/nats-server >/dev/null
	@tests/tools/flights-data >/dev/null
	@tests/tools/reference-docs >/dev/null
	PROPTEST_CASES=$${PROPTEST_CASES:-10000} cargo test --locked --test it laws::
	CHAOS_SEEDS=$${CHAOS_SEEDS:-200} cargo test --locked --test it chaos:: -- --nocapture
	CUT_OVERS=$${CUT_OVERS:-100} cargo test --locked --test it rebuild::cut_over:: -- --nocapture
	REBUILD_KILLS=$${REBUILD_KILLS:-100} cargo test --locked --test it rebuild::crash::killed -- --nocapture
	COMMITS=$${COMMITS:-3600} cargo test --locked --lib search::tests::commits::segments
	POWER_PAIRS=$${POWER_PAIRS:-1000} cargo test --locked --test it search::power:: -- --nocapture
	PROPTEST_CASES=$${SEARCH_CASES:-1000} cargo test --locked --test it search::updates::
	SEARCH_WHOLE=1 SEARCH_QUERIES=$${SEARCH_QUERIES:-2000} cargo test --locked --release --test it search::oracle:: -- --nocapture

lint: ## check format, lints and scripts
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- --deny warnings
	@for script in $(SCRIPTS); do bash -n "$$script" || exit 1; done

bench: ## measure rebuilds, catch-up and latency beside a hand-written consumer, then full-text search, reading, sharing and expressions
	@tests/tools/nats-server >/dev/null
	@tests/tools/flights-data >/dev/null
	@tests/tools/reference-docs >/dev/null
	cargo bench --locked --bench rebuild -- --json target/bench-rebuild.json
	cargo bench --locked --bench search -- --json target/bench-search.json
	cargo bench --locked --bench source
	cargo bench --locked --bench sharing
	cargo bench --locked --bench catch_up
	cargo bench --locked --bench expressions

# What it finds is kept in target/fuzz; mended, the input goes to tests/fuzz/regressions.
fuzz: ## try definitions, expressions and messages that nobody thought of (FUZZ_SECONDS=60 for each)
	cargo run --locked --quiet --profile fuzz --example fuzz
