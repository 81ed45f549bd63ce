# tests.mk: every test target. `make test` runs all of them and ends with "N passed, N failed".

SETUP = BUILD=$(BUILD) scripts/setup
PYTHON_TEST = $(BUILD)/venv/bin/python
# Tests wait about as long as they compute, and so run two a CPU: JOBS=n for another number of processes, or X=-n0 for
# pytest in one (a debugger needs that).
JOBS ?= $(shell echo $$((2 * $$(nproc))))
SYSTEM_TEST = $(PYTHON_TEST) -m pytest -q -p no:cacheprovider -n $(JOBS) --dist loadgroup --max-worker-restart=0
# Each kind of instrumented build has a tree of its own.
ASAN = SANITIZE=address,undefined BUILD=$(BUILD)/asan
TSAN = SANITIZE=thread BUILD=$(BUILD)/tsan

.PHONY: unit
unit: $(UNIT_ALL) $(BACKENDS) $(BUILD)/modeld-worker  ## unit tests (criterion), fault loops included
	$(Q)scripts/run-unit -j $(JOBS) $(BUILD) $(UNIT_ALL)

.PHONY: unit-build
unit-build: $(UNIT_ALL) $(BACKENDS) $(BUILD)/modeld-worker  ## build the unit tests, run none

.PHONY: unit-asan unit-asan-c unit-asan-python
unit-asan: unit-asan-c unit-asan-python  ## the same under AddressSanitizer and UndefinedBehaviorSanitizer
unit-asan-c:
	$(Q)$(MAKE) --no-print-directory $(ASAN) unit
# The extension module of the workers in Python.
unit-asan-python:
	$(Q)$(MAKE) --no-print-directory $(ASAN) native-asan PYTHON_TEST=$(PYTHON_TEST)

# So that all that the instrumented stages compile can be made beside another stage.
.PHONY: build-instrumented
build-instrumented:
	$(Q)$(MAKE) --no-print-directory $(ASAN) all fakecuda unit-build
	$(Q)$(MAKE) --no-print-directory $(TSAN) unit-threads-build
	$(Q)$(MAKE) --no-print-directory replay-build

# Only what has threads: the arena's populating, and what uses it.
.PHONY: unit-tsan
unit-tsan:  ## tests with threads under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory $(TSAN) unit-threads

# The threads of a worker; not what needs a compiler or a library that was built without the sanitizer.
WORKER_THREADS = $(patsubst %,$(BUILD)/unit/workers/%_test,answers crew lane loader outputs) \
	$(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/unit/workers/executor*_test.c tests/unit/workers/loop*_test.c))
.PHONY: unit-threads unit-threads-build
unit-threads-build: $(UNIT_shm) $(WORKER_THREADS)
unit-threads: $(UNIT_shm) $(WORKER_THREADS)
	$(Q)scripts/run-unit -j $(JOBS) $(BUILD) $^

.PHONY: system
system: all fakecuda  ## the real daemon with real clients (pytest); K=expression selects, X=options
	$(Q)$(SYSTEM_TEST) tests/system tests/unit/python $(if $(K),-k '$(K)') $(X)

.PHONY: system-asan
system-asan:  ## system tests against a daemon and workers built with sanitizers
	$(Q)$(MAKE) --no-print-directory $(ASAN) all fakecuda
	@ln -sfn ../venv $(BUILD)/asan/venv
	$(Q)MODELD_TEST_BUILD=$(BUILD)/asan $(SYSTEM_TEST) \
		-m 'not slow and not memory' tests/system $(if $(K),-k '$(K)') $(X)

.PHONY: soak
soak: all  ## models that come and go, a thousand times, and what is left of them: minutes
	$(Q)MODELD_TEST_SOAK=1000 MODELD_TEST_ROUNDS=200 $(PYTHON_TEST) -m pytest -q -s -p no:cacheprovider \
		tests/system -k 'soak or memory_comes_back' $(X)

.PHONY: check-service
check-service: all  ## the service under a real systemd, the packages, the image; needs root
	$(Q)$(PYTHON_TEST) -m pip install -q --disable-pip-version-check pyyaml kubernetes-validate
	$(Q)$(PYTHON_TEST) -m pytest -q -rs -p no:cacheprovider tests/service $(X)
	$(Q)$(MAKE) --no-print-directory check-proxies K=test_hosts

# SECONDS for each offender; TIMED=1 judges times, too, which wants a quiet machine.
.PHONY: check-strangers
check-strangers: all  ## twenty callers beside each offender, one after the other; K=expression selects
	$(Q)MODELD_STRANGERS_SECONDS=$(or $(SECONDS),30) MODELD_STRANGERS_TIMED=$(TIMED) \
		$(PYTHON_TEST) -m pytest -q -rs -p no:cacheprovider tests/strangers $(if $(K),-k '$(K)') $(X)

# Hosts of their own (tests/proxies/hosts.py) are made below a network namespace that nothing else is in.
NET_OF_ITS_OWN = $(if $(shell unshare --net true 2>/dev/null && echo yes),unshare --net sh -c 'ip link set lo up; exec "$$@"' -)
.PHONY: check-proxies
check-proxies: all  ## behind HAProxy, nginx and Envoy, those that are installed; SECONDS, TIMED, K as above
	$(Q)MODELD_STRANGERS_SECONDS=$(or $(SECONDS),30) MODELD_STRANGERS_TIMED=$(TIMED) $(NET_OF_ITS_OWN) \
		$(PYTHON_TEST) -m pytest -q -rs -p no:cacheprovider tests/proxies $(if $(K),-k '$(K)') $(X)

# MODELD_EXPORT_PYTHON: a Python with scikit-learn, skl2onnx, torch, onnx and onnxscript, for the exports.
.PHONY: check-clients
check-clients: all  ## the pages' examples in Go, Java and others, those that are installed, and exports to ONNX
	$(Q)$(PYTHON_TEST) -m pytest -q -rs -p no:cacheprovider tests/clients $(if $(K),-k '$(K)') $(X)

-include tests/fuzz/fuzz.mk
include tests/conformance/conformance.mk
-include tests/bench/bench.mk

.PHONY: setup-test
setup-test:
	$(Q)$(SETUP) test

# What the first stages leave idle builds what those behind them need.
.PHONY: test
test: setup-test  ## all tests; ends with "N passed, N failed"
	$(Q)scripts/run-stages \
		'lint (quick)' '$(MAKE) --no-print-directory -j2 lint-quick' \
		--beside '$(MAKE) --no-print-directory -j2 build-instrumented' \
		'unit' '$(MAKE) --no-print-directory -j2 unit' \
		'GPU probe' '$(MAKE) --no-print-directory -j2 probe-gpu' \
		'system' '$(MAKE) --no-print-directory -j2 system' \
		--join - \
		'unit, address+undefined' '$(MAKE) --no-print-directory -j2 unit-asan-c' \
		'extension, address+undefined' '$(MAKE) --no-print-directory -j2 unit-asan-python' \
		'unit, thread' '$(MAKE) --no-print-directory -j2 unit-tsan' \
		'fuzz corpora' '$(MAKE) --no-print-directory -j2 fuzz-corpus' \
		'conformance (a sample)' '$(MAKE) --no-print-directory conformance SAMPLE=200' \
		'mixed stress' '$(MAKE) --no-print-directory mixed REQUESTS=3000 SAMPLE=60' \
		'system, address+undefined' '$(MAKE) --no-print-directory -j2 system-asan'

# --- Lint -----------------------------------------------------------------------------------
C_ALL = $(wildcard src/*.[ch] src/*/*.[ch] shm/*.[ch] proto/*.[ch] workers/*.[ch] workers/backends/*.[ch] \
	workers/backends/*/*.[ch] workers/python/native/*.[ch] clients/*/*.[ch] tests/*/*.[ch] tests/unit/*/*.[ch] tests/support/*/*.[ch] \
	tests/support/*/*/*.h tests/gpu/check/*.[ch] docs/examples/*.c)
C_TIDY = $(wildcard src/*.c src/*/*.c shm/*.c proto/*.c workers/*.c workers/backends/*.c \
	workers/backends/*/*.c clients/*/*.c) $(if $(PYTHON_INCLUDE),$(SRC_native))
HEADERS = $(wildcard src/*.h src/*/*.h shm/*.h proto/*.h workers/*.h clients/*/*.h)

.PHONY: lint-quick
lint-quick: check-layers check-circles check-banned check-functions check-mirrors check-version check-headers format-check

.PHONY: lint
lint: lint-quick check-types check-messages tidy  ## formatting, include ranks, banned calls, sizes, headers alone, types of Python, clang-tidy

.PHONY: check-types
check-types:  ## mypy, over the client for Python
	$(Q)$(PYTHON_TEST) -m mypy --config-file clients/python/pyproject.toml --cache-dir $(BUILD)/mypy clients/python/modeld

.PHONY: check-messages
check-messages:  ## the client for Python has the messages that proto/ describes
	$(Q)$(PYTHON_TEST) clients/python/generate_messages.py --check

.PHONY: check-layers check-banned check-functions check-mirrors check-version
check-layers check-banned check-functions check-mirrors check-version:
	$(Q)scripts/$@

.PHONY: check-circles
check-circles: all fakecuda  ## files of a folder that need each other in a circle, by their object files
	$(Q)scripts/$@ $(BUILD)

# As with tidy: what passed is looked at again when it or what it includes has changed.
ALONE = $(HEADERS:%=$(BUILD)/alone/%.ok)
.PHONY: check-headers
check-headers: $(ALONE)  ## every header compiles alone
	@echo "headers compile alone"
$(BUILD)/alone/%.ok: % $(BUILD)/flags | $(PB_H)
	@mkdir -p $(@D)
	$(Q)printf '#include "%s"\n' $* | $(CC) $(CPPFLAGS) -isystem $(FAKECUDA_INCLUDE) $(CFLAGS) -Wno-unused-function \
		-MMD -MP -MF $(@:.ok=.d) -MT $@ -fsyntax-only -xc -
	$(Q)touch $@

.PHONY: format
format:  ## let clang-format rewrite every C file
	$(Q)clang-format -i $(C_ALL)

.PHONY: format-check
format-check: $(BUILD)/formatted
	@echo "formatted"
$(BUILD)/formatted: $(C_ALL) .clang-format
	@mkdir -p $(@D)
	$(Q)printf '%s\n' $(filter %.c %.h,$(if $(filter .clang-format,$?),$(C_ALL),$?)) | \
		xargs -P $$(nproc) -n 200 clang-format --dry-run -Werror
	$(Q)touch $@

# One stamp a file: a file that passed is looked at again only when it or a header changed.
TIDY_STAMPS = $(patsubst %.c,$(BUILD)/tidy/%.ok,$(C_TIDY))
$(BUILD)/tidy/%.ok: %.c $(HEADERS) .clang-tidy | $(PB_H)
	@mkdir -p $(@D)
	@echo "  TIDY    $<"
	$(Q)clang-tidy --quiet $< -- $(CPPFLAGS) $(FAKECUDA_FLAGS) -std=c11 2>$@.log || { cat $@.log; exit 1; }
	$(Q)touch $@
.PHONY: tidy
tidy: $(TIDY_STAMPS)  ## clang-tidy
