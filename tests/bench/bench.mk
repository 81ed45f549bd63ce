# bench.mk: `make bench` measures modeld against its own stack and prints a table with the ratios.

BENCH_RUNS ?= 5
BENCH_SECONDS ?= 3

$(BUILD)/bench/responder: tests/bench/responder.c
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(shell pkg-config --libs libuv libnghttp2)

$(BUILD)/bench/wakeup: tests/bench/wakeup.c
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $<

$(BUILD)/bench/local: $(BUILD)/obj/tests/bench/local.o $(LIBS_BELOW_client)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_CLIENT)

# What trains a build, too (scripts/train).
$(BUILD)/bench/callers: $(BUILD)/obj/tests/bench/callers.o $(LIBS_BELOW_client)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_CLIENT)

$(BUILD)/bench/codec: $(BUILD)/obj/tests/bench/codec.o $(LIBS_BELOW_proto)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs libprotobuf-c)

# The comparison with grpc++ is made where its development files are (libgrpc++-dev).
HAVE_GRPCPP := $(shell pkg-config --exists grpc++ 2>/dev/null && echo yes)
$(BUILD)/bench/grpcpp_echo: tests/bench/grpcpp_echo.cc
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CXX) -O2 -o $@ $< $(shell pkg-config --cflags --libs grpc++)

.PHONY: bench
bench: all $(BUILD)/bench/responder $(BUILD)/bench/wakeup $(BUILD)/bench/local $(BUILD)/bench/codec $(if $(HAVE_GRPCPP),$(BUILD)/bench/grpcpp_echo)  ## measure; prints ratios
	$(Q)$(PYTHON_TEST) tests/bench/bench.py --build $(BUILD) --runs $(BENCH_RUNS) --seconds $(BENCH_SECONDS) $(X)
	$(Q)$(PYTHON_TEST) tests/bench/lives.py --build $(BUILD) --runs $(BENCH_RUNS)
	$(Q)$(PYTHON_TEST) tests/bench/local.py --build $(BUILD) --runs $(BENCH_RUNS)
	$(Q)$(BUILD)/bench/codec

.PHONY: bench-scale
bench-scale: all  ## whether costs grow faster than the work: CPU a unit, in curves; X=names of curves
	$(Q)$(PYTHON_TEST) tests/bench/scale.py --build $(BUILD) $(X)

.PHONY: bench-kserve
bench-kserve: all  ## ModelInfer beside Infer, perf_analyzer (scripts/get-perf-analyzer) beside modelctl bench; needs valgrind
	$(Q)$(PYTHON_TEST) tests/bench/kserve.py --build $(BUILD) $(X)
