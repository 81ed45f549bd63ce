# Fuzzers: each tests/fuzz/NAME_fuzz.c is one, linked with our code, built by clang with libFuzzer,
# AddressSanitizer and UndefinedBehaviorSanitizer. Seeds are in tests/fuzz/corpus/NAME/.
#
#   make fuzz FUZZ_SECONDS=60     every fuzzer, a minute each
#   make fuzz FUZZERS=wire        one of them
#   build/fuzz/wire FILE          replay what was found
#
# Read once, though it may be named twice: fuzz_make names it, and tests.mk may.
ifndef FUZZ_MK
FUZZ_MK      := 1
FUZZERS      ?= $(patsubst tests/fuzz/%_fuzz.c,%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))
FUZZ_SECONDS ?= 10
FUZZ_CC      ?= clang-14

# `make fuzz-corpus` runs the seeds alone: for that the objects that unit-asan has made do.
replay_make = +$(Q)$(MAKE) --no-print-directory -k -f Makefile -f tests/fuzz/fuzz.mk $(ASAN) FUZZ_OUT=$(BUILD)/replay

# For libFuzzer our code is built once more, in a tree of its own.
fuzz_make = +$(Q)$(MAKE) --no-print-directory -k -f Makefile -f tests/fuzz/fuzz.mk CC=$(FUZZ_CC) \
            DEVELOPER=0 SANITIZE=fuzzer-no-link,address,undefined BUILD=$(BUILD)/fuzz-obj \
            FUZZ_OUT=$(BUILD)/fuzz

.PHONY: fuzz fuzz-corpus fuzz-build replay-build
fuzz: fuzz-build  ## every fuzzer for FUZZ_SECONDS (10)
	$(Q)tests/fuzz/run fuzz $(FUZZ_SECONDS) $(BUILD)/fuzz $(FUZZERS)
fuzz-corpus: replay-build  ## every fuzzer over its seeds, once
	$(Q)tests/fuzz/run replay 0 $(BUILD)/replay $(FUZZERS)

# A folder that does not compile costs the fuzzers that need it: they do not link, and fail.
fuzz-build:
	$(fuzz_make) fuzz-libs || echo "fuzz: something did not compile, going on without it"
	$(fuzz_make) fuzz-programs || echo "fuzz: not all fuzzers could be linked"
replay-build:
	$(replay_make) fuzz-libs || echo "fuzz: something did not compile, going on without it"
	$(replay_make) fuzz-programs || echo "fuzz: not all fuzzers could be linked"

# What follows is for these two. A fuzzer that must not see every archive says which it wants:
# FUZZ_LIBS_NAME = workers shm proto base; what is in no archive, FUZZ_OBJECTS_NAME; FUZZ_LDFLAGS_NAME.
ifdef FUZZ_OUT
FUZZ_LIBS := modelctl client server services grpc http2 handoff trace models dispatch pool workers shm proto event base
fuzz_archives = $(foreach f,$(filter $(FOLDERS),$(1)),$(call lib,$(f)))

FUZZ_LDFLAGS_pool := -Wl,--wrap=wire_scratch_new,--wrap=wire_scratch_free
FUZZ_LDFLAGS_worker := $(FUZZ_LDFLAGS_pool),--wrap=pthread_create,--wrap=pthread_join
FUZZ_LIBS_worker := workers shm proto base
FUZZ_OBJECTS_worker := $(BUILD)/obj/workers/device_nocuda.o
FUZZ_LIBS_onnx_graph := base
FUZZ_OBJECTS_onnx_graph := $(patsubst %.c,$(BUILD)/pic/%.o,$(wildcard \
	$(addprefix workers/backends/onnxruntime/,protobuf.c graph*.c rows*.c)))

.PHONY: fuzz-libs fuzz-programs fuzz-link
fuzz-libs: $(call fuzz_archives,$(FUZZ_LIBS)) $(foreach f,$(FUZZERS),$(FUZZ_OBJECTS_$f))
fuzz-programs: $(FUZZERS:%=$(FUZZ_OUT)/%)
.SECONDARY: $(FUZZERS:%=$(BUILD)/obj/tests/fuzz/%_fuzz.o)
ifneq ($(filter fuzzer-no-link,$(subst $(comma), ,$(SANITIZE))),)
FUZZ_LDFLAGS := $(filter-out -fsanitize=%,$(LDFLAGS)) -fsanitize=fuzzer,address,undefined
else
FUZZ_LDFLAGS := $(LDFLAGS)
FUZZ_MAIN    := $(BUILD)/obj/tests/fuzz/replay.o
endif
$(FUZZ_OUT)/%: $(BUILD)/obj/tests/fuzz/%_fuzz.o $(FUZZ_MAIN) fuzz-link
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)rm -f $@
	$(Q)$(CC) $(FUZZ_LDFLAGS) $(FUZZ_LDFLAGS_$*) -o $@ $< $(FUZZ_MAIN) $(FUZZ_OBJECTS_$*) \
		$(wildcard $(call fuzz_archives,$(or $(FUZZ_LIBS_$*),$(FUZZ_LIBS)))) $(LIBS_FRONT) $(LIBS_PICTURES) -ldl -lm
fuzz-link:
endif
endif
