# probe.mk: the GPU probe (docs/gpu.md). Needs a CUDA toolkit, 11.4 or newer, to build: nvcc in the
# PATH or CUDA_HOME (/usr/local/cuda). It links against no library of the driver's, so it builds and
# starts where there is no GPU; what is missing is said, and is no error.

CUDA_HOME     ?= /usr/local/cuda
NVCC          ?= $(or $(shell command -v nvcc 2>/dev/null),$(wildcard $(CUDA_HOME)/bin/nvcc))
NVCC          := $(NVCC)
# A distribution's package has them in the compiler's own search path.
PROBE_INCLUDE := $(firstword $(wildcard $(patsubst %/bin/nvcc,%,$(NVCC))/include/cuda_runtime_api.h \
                 $(CUDA_HOME)/include/cuda_runtime_api.h /usr/include/cuda_runtime_api.h))
PROBE_CUDART  := $(firstword $(wildcard $(addsuffix /libcudart_static.a, \
                 $(patsubst %/bin/nvcc,%,$(NVCC))/lib64 $(CUDA_HOME)/lib64 \
                 /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu)))
PROBE_SOURCES := $(wildcard tests/gpu/*.c) src/base/clock.c src/base/err.c src/base/seqpacket.c
PROBE_OBJECTS := $(patsubst %.c,$(BUILD)/gpu/obj/%.o,$(PROBE_SOURCES))
# nvcc takes a C++ compiler to read the source with.
PROBE_MODULE  := $(if $(and $(NVCC),$(shell command -v g++ 2>/dev/null)),$(BUILD)/gpu/probe_fault.fatbin)
# Code for every generation that the toolkit knows, and for later ones.
PROBE_ARCH    ?= all-major

.PHONY: probe-gpu check-gpu
ifneq ($(and $(PROBE_INCLUDE),$(PROBE_CUDART)),)
probe-gpu: $(BUILD)/gpu/probe $(PROBE_MODULE)  ## ask a GPU what the design rests on; prints tables (docs/gpu.md)
	$(Q)$(BUILD)/gpu/probe --self-test
	$(Q)$(BUILD)/gpu/probe $(X)

$(BUILD)/gpu/probe: $(PROBE_OBJECTS)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(PROBE_CUDART) -ldl -lrt -lpthread
# Own rules: a machine with a GPU need not have what the daemon is built with.
$(BUILD)/gpu/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS) -isystem $(dir $(PROBE_INCLUDE)) $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/gpu/%.fatbin: tests/gpu/%.cu
	@mkdir -p $(@D)
	@echo "  NVCC    $<"
	$(Q)$(NVCC) -fatbin -arch=$(PROBE_ARCH) -o $@ $<
-include $(PROBE_OBJECTS:.o=.d)
else
probe-gpu:
	@echo "probe-gpu: no CUDA toolkit (nvcc in the PATH, or CUDA_HOME=dir): nothing was built"
endif

check-gpu: probe-gpu  ## everything that needs a GPU
