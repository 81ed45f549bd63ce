# probe.mk: the GPU probe (docs/gpu.md). Needs a CUDA toolkit, 11.4 or newer, to build: nvcc in the
# PATH or CUDA_HOME (/usr/local/cuda). It links against no library of the driver's, so it builds and
# starts where there is no GPU; what is missing is said, and is no error.

PROBE_SOURCES := $(wildcard tests/gpu/*.c) src/base/clock.c src/base/err.c src/base/seqpacket.c
PROBE_OBJECTS := $(patsubst %.c,$(BUILD)/gpu/obj/%.o,$(PROBE_SOURCES))
# nvcc takes a C++ compiler to read the source with.
PROBE_MODULE  := $(if $(and $(NVCC),$(shell command -v g++ 2>/dev/null)),$(BUILD)/gpu/probe_fault.fatbin)
# Code for every generation that the toolkit knows, and for later ones.
PROBE_ARCH    ?= all-major

.PHONY: probe-gpu
ifneq ($(and $(CUDA_INCLUDE),$(CUDART_STATIC)),)
probe-gpu: $(BUILD)/gpu/probe $(PROBE_MODULE)  ## ask a GPU what the design rests on; prints tables (docs/gpu.md)
	$(Q)$(BUILD)/gpu/probe --self-test
	$(Q)$(BUILD)/gpu/probe $(X)

$(BUILD)/gpu/probe: $(PROBE_OBJECTS)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CUDART_STATIC) -ldl -lrt -lpthread
# Own rules: a machine with a GPU need not have what the daemon is built with.
$(BUILD)/gpu/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS) -isystem $(CUDA_INCLUDE) $(CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/gpu/%.fatbin: tests/gpu/%.cu
	@mkdir -p $(@D)
	@echo "  NVCC    $<"
	$(Q)$(NVCC) -fatbin -arch=$(PROBE_ARCH) -o $@ $<
-include $(PROBE_OBJECTS:.o=.d)
else
probe-gpu:
	@echo "probe-gpu: no CUDA toolkit (nvcc in the PATH, or CUDA_HOME=dir): nothing was built"
endif
