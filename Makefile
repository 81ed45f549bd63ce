# modeld: build, test, lint, install. `make help` lists every target.
#
# Knobs:  BUILD=dir          where everything goes (default build)
#         SANITIZE=address,undefined | thread   (use another BUILD with it)
#         DEVELOPER=0        without -Werror
#         CUDA=auto|0|1      workers that drive GPUs: where a toolkit is found (default), never, or fail
#         CUDA_HOME=dir      where the toolkit is (default /usr/local/cuda)
#         LTO=0              without optimising programs as a whole: they link at once and run 6 % slower
#         PGO=               without the profile of a training run, where `make pgo` left one
#         FUZZ=1             with clang and libFuzzer (set by `make fuzz`)
#         CRITERION=         unit tests run by tests/support/plain instead of criterion (in a BUILD of their own): compiles in half the time
#         V=1                print the commands

BUILD     ?= build
DEVELOPER ?= 1
LTO       ?= 1
CC        ?= gcc
PROTOC_C  ?= protoc-c
PREFIX    ?= /usr/local
VERSION   := 0.2.0
Q         := $(if $(V),,@)
# What a training run left is used from then on, until `make clean`: what is installed is what was trained.
PGO       ?= $(if $(wildcard $(BUILD)/trained),use)
# As the environment has them: a make below adds to them by itself.
GIVEN     := $(foreach v,CPPFLAGS CFLAGS LDFLAGS,$(if $(filter environment,$(origin $v)),$v='$($v)'))

PACKAGES  := libuv libnghttp2 libprotobuf-c inih jansson zlib libmicrohttpd
WARN      := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wshadow -Wundef \
             -Wpointer-arith -Wwrite-strings -Wformat=2 -Wno-unused-parameter
ifneq ($(DEVELOPER),0)
WARN      += -Werror
endif
# What is instrumented compiles in half the time with -O1, and finds as much; its reports name lines by -g1. A debugger wants
# OPT="-O1 -g".
OPT       ?= $(if $(SANITIZE),-O1 -g1,-O2 -g)
CPPFLAGS  += -D_GNU_SOURCE -I. -Isrc -I$(BUILD)/gen -DMODELD_VERSION='"$(VERSION)"' \
             $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
CFLAGS    += -std=c11 $(OPT) $(WARN) -fno-common -fstack-protector-strong -fno-omit-frame-pointer
LDFLAGS   += -Wl,-z,relro,-z,now
ifneq ($(SANITIZE),)
CFLAGS    += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
LDFLAGS   += -fsanitize=$(SANITIZE)
endif
# Objects hide their structs behind functions of a few instructions, which cost more to call than to run:
# the daemon and the worker are optimised as a whole. Their objects have ordinary code, too: what else is
# made of them is linked as ever.
ifeq ($(LTO)$(SANITIZE)$(findstring clang,$(CC)),1)
# Without frame pointers, which are for profilers and cost each call three instructions: LTO=0 has them.
# Nor with padding ahead of functions and loops: a request goes through more code than the first cache of instructions
# holds, and a third of its misses were due to that.
LTO_COMPILE := -flto -ffat-lto-objects -fno-plt -fomit-frame-pointer -falign-functions=1 -fno-align-loops -fno-align-jumps
# Structs are cleared by moves, long ones by memset(): `rep stos`, which gcc would take, needs some 12 ns to begin, and
# a small request clears a dozen.
ifeq ($(shell uname -m),x86_64)
LTO_COMPILE += -mmemset-strategy=libcall:-1:noalign -mmemcpy-strategy=libcall:-1:noalign
endif
# By what they did in a training run, which lies beside their objects. What did not run, or was changed since, is as without.
PGO_generate := -fprofile-generate -fprofile-update=prefer-atomic
PGO_use     := -fprofile-use -fprofile-correction -fprofile-partial-training -Wno-missing-profile -Wno-error=coverage-mismatch
LTO_COMPILE += $(PGO_$(PGO))
LTO_LINK    := -flto=auto $(OPT) $(PGO_$(PGO))
LDFLAGS     += -fno-lto
endif

# What was compiled with other flags is compiled anew, and what says the version when that is another one.
FLAGS     := $(CFLAGS) $(LTO_COMPILE)
$(shell echo '$(FLAGS)' | cmp -s - $(BUILD)/flags || rm -f $(BUILD)/flags)
$(shell echo '$(VERSION)' | cmp -s - $(BUILD)/version || rm -f $(BUILD)/version)
SAY_VERSION := src/main src/grpc/page src/trace/otlp src/services/control_service src/services/kserve_metadata src/metrics/family_server \
               clients/c/grpc_call clients/modelctl/main workers/main tests/unit/trace/otlp_test tests/unit/services/control_service_test

# Of libm what -O2 has inline, and -Os calls.
LIBS_FRONT  := $(shell pkg-config --libs libuv libnghttp2 libprotobuf-c inih jansson zlib libmicrohttpd 2>/dev/null) -lpthread \
               -Wl,--as-needed -lm -Wl,--no-as-needed
LIBS_WORKER := $(shell pkg-config --libs inih 2>/dev/null) -ldl -lm -lpthread
# What modelctl reads pictures by, each where it is there.
PICTURES    := $(strip $(foreach p,libpng libturbojpeg,$(shell pkg-config --exists $(p) 2>/dev/null && echo $(p))))
PICTURES_CPPFLAGS := $(if $(filter libpng,$(PICTURES)),-DMODELCTL_PNG) $(if $(filter libturbojpeg,$(PICTURES)),-DMODELCTL_JPEG) \
               $(if $(PICTURES),$(shell pkg-config --cflags $(PICTURES)))
LIBS_PICTURES := -Wl,--as-needed $(if $(PICTURES),$(shell pkg-config --libs $(PICTURES))) -Wl,--no-as-needed
LIBS_CLIENT := $(shell pkg-config --libs libnghttp2 libprotobuf-c 2>/dev/null) -lpthread $(if $(filter generate,$(PGO)),-lgcov)

# --- Sources: one archive per folder, so that a test links only what lies below it ---------
FOLDERS   := base event trace shm proto pool dispatch models handoff http http2 grpc services metrics server workers client modelctl
SRC_base     := $(wildcard src/base/*.c)
SRC_event    := $(wildcard src/event/*.c)
SRC_trace    := $(wildcard src/trace/*.c)
SRC_shm      := $(wildcard shm/*.c)
SRC_proto    := $(wildcard proto/*.c)
SRC_pool     := $(wildcard src/pool/*.c)
SRC_dispatch := $(wildcard src/dispatch/*.c)
SRC_models   := $(wildcard src/models/*.c)
SRC_handoff  := $(wildcard src/handoff/*.c)
SRC_http     := $(wildcard src/http/*.c)
SRC_http2    := $(wildcard src/http2/*.c)
SRC_grpc     := $(wildcard src/grpc/*.c)
SRC_services := $(wildcard src/services/*.c)
SRC_metrics  := $(wildcard src/metrics/*.c)
SRC_server   := $(filter-out src/main.c,$(wildcard src/*.c))
SRC_workers  := $(filter-out workers/main.c workers/device_cuda% workers/device_nocuda.c,$(wildcard workers/*.c))
SRC_client   := $(wildcard clients/c/*.c)
SRC_modelctl := $(filter-out %/main.c,$(wildcard clients/modelctl/*.c))
SRC_backends := $(wildcard workers/backends/*.c)
# That of CUDA has rules of its own (workers/cuda.mk).
DIR_backends := $(filter-out workers/backends/cuda,$(patsubst %/,%,$(sort $(dir $(wildcard workers/backends/*/*.c)))))
PROTOS       := $(wildcard proto/*.proto proto/*/*.proto)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
PB_C   := $(patsubst proto/%.proto,$(BUILD)/gen/proto/%.pb-c.c,$(PROTOS))
PB_H   := $(PB_C:.c=.h)
PB_O   := $(patsubst $(BUILD)/gen/%.c,$(BUILD)/obj/gen/%.o,$(PB_C))
# What clients may ask to have described: all but what our own processes speak.
PROTOS_SERVED := $(filter-out proto/wire.proto proto/handoff.proto,$(PROTOS))
DESCRIPTORS   := $(BUILD)/gen/proto/descriptors.c
DESCRIPTORS_O := $(BUILD)/obj/gen/proto/descriptors.o
lib = $(BUILD)/lib/libmodeld-$(1).a
# Link order: each folder's archive before the ones below it.
LIBS_BELOW_base     := $(call lib,base)
LIBS_BELOW_event    := $(call lib,event) $(LIBS_BELOW_base)
LIBS_BELOW_shm      := $(call lib,shm) $(LIBS_BELOW_base)
LIBS_BELOW_proto    := $(call lib,proto) $(LIBS_BELOW_base)
LIBS_BELOW_trace    := $(call lib,trace) $(LIBS_BELOW_proto)
LIBS_BELOW_pool     := $(call lib,pool) $(call lib,shm) $(LIBS_BELOW_proto)
LIBS_BELOW_dispatch := $(call lib,dispatch) $(LIBS_BELOW_pool)
LIBS_BELOW_models   := $(call lib,models) $(LIBS_BELOW_dispatch)
LIBS_BELOW_handoff  := $(call lib,handoff) $(call lib,event) $(call lib,trace) $(LIBS_BELOW_dispatch)
LIBS_BELOW_http     := $(call lib,http) $(LIBS_BELOW_event)
LIBS_BELOW_http2    := $(call lib,http2) $(LIBS_BELOW_event)
LIBS_BELOW_grpc     := $(call lib,grpc) $(call lib,http2) $(call lib,event) $(LIBS_BELOW_proto)
LIBS_BELOW_services := $(call lib,services) $(call lib,trace) $(call lib,models) $(call lib,grpc) $(call lib,http2) $(LIBS_BELOW_handoff)
LIBS_BELOW_metrics  := $(call lib,metrics) $(call lib,http) $(LIBS_BELOW_services)
LIBS_BELOW_server   := $(call lib,server) $(LIBS_BELOW_metrics)
LIBS_BELOW_workers  := $(call lib,workers) $(call lib,shm) $(LIBS_BELOW_proto)
LIBS_BELOW_client   := $(call lib,modelctl) $(call lib,client) $(call lib,shm) $(LIBS_BELOW_proto)

include workers/cuda.mk

# A backend is one file NAME.c, or a folder NAME of several: either becomes NAME.so.
BACKENDS := $(patsubst workers/backends/%.c,$(BUILD)/backends/%.so,$(SRC_backends)) \
            $(patsubst workers/backends/%,$(BUILD)/backends/%.so,$(DIR_backends))
include workers/python/native/native.mk
PROGRAMS := $(BUILD)/modeld $(BUILD)/modeld-worker $(BUILD)/modeld-python $(BUILD)/modelctl $(if $(SANITIZE),,$(NATIVE_SO))

.DEFAULT_GOAL := all
.PHONY: all
all: $(PROGRAMS) $(BACKENDS)  ## build the daemon, the worker, modelctl and the backends

$(BUILD)/modeld: $(BUILD)/obj/src/main.o $(LIBS_BELOW_server)
	@echo "  LD      $@"
	$(Q)$(CC) $(filter-out -fno-lto,$(LDFLAGS)) $(LTO_LINK) -o $@ $^ $(LIBS_FRONT)
# It finds what it imports beside the file that the link leads to.
# What it has of the client is beside the link, where a sandbox lets it be read.
$(BUILD)/modeld-python: workers/python/modeld-python $(wildcard clients/python/modeld/*.py)
	@mkdir -p $@-client
	$(Q)cp clients/python/modeld/*.py $@-client/
	$(Q)ln -sfn $(abspath $<) $@
	$(Q)touch -h $@
# -rdynamic is not wanted: a backend is given what it needs through backend.h.
# A device asks base for more than the worker does: it comes ahead.
$(BUILD)/modeld-worker: $(BUILD)/obj/workers/main.o $(DEVICE_CUDA) $(LIBS_BELOW_workers)
	@echo "  LD      $@"
	$(Q)$(CC) $(filter-out -fno-lto,$(LDFLAGS)) $(LTO_LINK) -o $@ $^ $(CUDART) $(LIBS_WORKER)
$(BUILD)/modelctl: $(BUILD)/obj/clients/modelctl/main.o $(LIBS_BELOW_client)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS_CLIENT) -lz $(LIBS_PICTURES)
$(BUILD)/obj/clients/modelctl/picture_read.o $(BUILD)/obj/tests/unit/client/picture_read_test.o: CPPFLAGS += $(PICTURES_CPPFLAGS)
$(BUILD)/backends/%.so: workers/backends/%.c workers/backend.h
	@mkdir -p $(@D)
	@echo "  SO      $@"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $(BUILD)/obj/backends-$*.d -fPIC -fvisibility=hidden -shared -o $@ $< -ldl -lm
# Unit tests open them; those that let allocations fail or look inside are linked with one.
unit-workers: | $(BACKENDS)
$(patsubst %,$(BUILD)/unit/workers/onnxruntime_%_test,changing fault graph provider rows text usual): \
	$(patsubst %.c,$(BUILD)/pic/%.o,$(wildcard workers/backends/onnxruntime/*.c))
# What of base/ a backend of several files may use.
BACKENDS_BASE := src/base/digits.c
define backend_rule
$(BUILD)/backends/$(notdir $(1)).so: $$(patsubst %.c,$(BUILD)/pic/%.o,$$(wildcard $(1)/*.c) $(BACKENDS_BASE))
	@mkdir -p $$(@D)
	@echo "  SO      $$@"
	$(Q)$(CC) $(LDFLAGS) -shared -o $$@ $$^ -ldl -lm
endef
$(foreach d,$(DIR_backends),$(eval $(call backend_rule,$(d))))
$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -fPIC -fvisibility=hidden -c -o $@ $<

define archive_rule
$(call lib,$(1)): $(call obj,$(SRC_$(1))) $(if $(filter proto,$(1)),$(PB_O) $(DESCRIPTORS_O))
	@mkdir -p $$(@D)
	@echo "  AR      $$@"
	$(Q)rm -f $$@ && $(AR) rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive_rule,$(f))))

$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out $(WARN),$(CFLAGS)) -w -c -o $@ $<
$(BUILD)/flags:
	@mkdir -p $(@D)
	@echo '$(FLAGS)' >$@
$(BUILD)/version:
	@mkdir -p $(@D)
	@echo '$(VERSION)' >$@
$(foreach d,obj pic,$(SAY_VERSION:%=$(BUILD)/$(d)/%.o)): $(BUILD)/version
$(BUILD)/obj/%.o: %.c $(BUILD)/flags | $(PB_H)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(if $(filter src/% shm/% proto/% workers/%,$<),$(LTO_COMPILE)) -MMD -MP -c -o $@ $<
# What is not there is named first, with the command that brings it.
$(BUILD)/packages:
	@mkdir -p $(@D)
	@missing="$$(for p in $(firstword $(CC)) pkg-config $(PROTOC_C); do command -v $$p >/dev/null || echo $$p; done; \
		for p in $(PACKAGES); do pkg-config --exists $$p 2>/dev/null || echo $$p; done)"; \
	[ -z "$$missing" ] || { echo "make: the build needs" $$missing; echo "make: on Debian this installs it:  scripts/setup build"; exit 1; }
	@touch $@
$(BUILD)/gen/proto/%.pb-c.c $(BUILD)/gen/proto/%.pb-c.h: proto/%.proto | $(BUILD)/packages
	@mkdir -p $(BUILD)/gen
	@echo "  PROTO   $<"
	$(Q)$(PROTOC_C) -I. --c_out=$(BUILD)/gen $<
$(DESCRIPTORS): $(PROTOS_SERVED) | $(BUILD)/packages
	@mkdir -p $(@D)
	@echo "  PROTO   $@"
	$(Q)$(PROTOC_C) -I. --descriptor_set_out=$(@:.c=.bin) $^
	$(Q){ echo '#include "proto/descriptors.h"'; echo 'const uint8_t descriptors_data[] = {'; \
		od -An -v -tu1 $(@:.c=.bin) | sed 's/  *\([0-9][0-9]*\)/\1,/g'; echo '};'; \
		echo 'const size_t descriptors_size = sizeof(descriptors_data);'; } >$@
.SECONDARY: $(PB_C) $(PB_H) $(DESCRIPTORS)
# The status page, as numbers of an array.
$(BUILD)/obj/src/metrics/page.o $(BUILD)/tidy/src/metrics/page.ok: $(BUILD)/gen/metrics/page.inc
$(BUILD)/gen/metrics/page.inc: src/metrics/page.html
	@mkdir -p $(@D)
	$(Q)od -An -v -tx1 $< | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g' >$@

# --- Unit tests: tests/unit/<path>_test.c mirrors <path>.c; fake_*.c beside them stand in for
# --- what lies below and are linked into every test of that folder -------------------------
UNIT_DIRS := base event trace shm proto pool dispatch models handoff http http2 grpc services metrics server workers client
unit_src = $(wildcard tests/unit/$(1)/*_test.c)
SUPPORT  := $(call obj,$(wildcard tests/support/*.c))
# What is instrumented is linked with tests/support/plain in criterion's place.
CRITERION ?= $(if $(SANITIZE),,1)
ifeq ($(CRITERION),)
PLAIN    := tests/support/plain
SUPPORT  += $(call obj,$(PLAIN)/plain.c)
$(BUILD)/obj/tests/%.o: CPPFLAGS += -I$(PLAIN)
else
LIBS_UNIT := -lcriterion
endif
# Tests themselves need no optimising, and compile in a third of the time without.
$(BUILD)/obj/tests/unit/%.o $(BUILD)/obj/tests/support/%.o: CFLAGS += -O0
# Every allocation and system call of ours can be made to fail (tests/support/failalloc.h).
WRAP := malloc calloc realloc free aligned_alloc strdup strndup asprintf vasprintf realpath \
	mmap ftruncate fcntl sendmsg recvmsg memfd_create madvise socket bind connect accept4 send write
comma := ,
WRAPFLAGS := $(patsubst %,-Wl$(comma)--wrap=%,$(WRAP))
# There are hundreds of programs to link: gold, where there is one, takes a third of the time.
UNIT_LD := $(if $(shell command -v ld.gold),-fuse-ld=gold)
define unit_rule
FAKES_$(1) := $$(call obj,$$(wildcard tests/unit/$(1)/fake_*.c))
UNIT_$(1) := $$(patsubst tests/unit/%.c,$(BUILD)/unit/%,$$(call unit_src,$(1)))
$$(UNIT_$(1)): $(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $$(FAKES_$(1)) $(SUPPORT) $(UNIT_WITH_$(1)) $(LIBS_BELOW_$(1))
	@mkdir -p $$(@D)
	@echo "  LD      $$@"
	$(Q)$(CC) $(LDFLAGS) $(UNIT_LD) $(WRAPFLAGS) -o $$@ $$^ $(UNIT_LDFLAGS_$(1)) $(LIBS_FRONT) $(LIBS_PICTURES) -ldl -lm $(LIBS_UNIT)
.PHONY: unit-$(1)
unit-$(1): $$(UNIT_$(1))
	$(Q)scripts/run-unit -j $$(JOBS) $(BUILD) $$^
endef
$(foreach d,$(UNIT_DIRS),$(eval $(call unit_rule,$(d))))
UNIT_ALL = $(foreach d,$(UNIT_DIRS),$(UNIT_$(d)))

.PHONY: setup
setup:  ## install what is missing to build and run (Debian packages, ONNX Runtime, grpcio)
	$(Q)BUILD=$(BUILD) scripts/setup run

.PHONY: run
run:  ## set up, build, start, classify the sample pictures, show the status
	$(Q)BUILD=$(BUILD) scripts/run

include clients/c/client.mk
include tests/tests.mk
-include tests/gpu/probe.mk
-include tests/gpu/check/check.mk
-include scripts/install.mk

# In a directory that was trained before all is made anew, so that the profile is that of what is there.
.PHONY: pgo
pgo:  ## build twice, the second time by the profile of a training run of half a minute; with gcc
	$(Q)$(if $(LTO_COMPILE),,echo "make: pgo needs gcc and LTO=1, and no SANITIZE" >&2; exit 1)
	$(Q)mkdir -p $(BUILD)/obj
	$(Q)rm -f $(BUILD)/trained $$(find $(BUILD)/obj -name '*.gcda')
	$(Q)$(GIVEN) $(MAKE) --no-print-directory PGO=generate $(addprefix $(BUILD)/,modeld modeld-worker modelctl bench/callers bench/local)
	$(Q)BUILD=$(BUILD) scripts/train
	$(Q)$(GIVEN) $(MAKE) --no-print-directory PGO=use all
	$(Q)touch $(BUILD)/trained

.PHONY: clean
clean:  ## remove what was built (the virtual environment stays)
	rm -rf $(filter-out $(BUILD)/venv,$(wildcard $(BUILD)/*))

.PHONY: help
help:  ## list every target with a line each
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

-include $(shell find $(BUILD)/obj $(BUILD)/pic $(BUILD)/alone -name '*.d' 2>/dev/null)
