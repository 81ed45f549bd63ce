# check.mk: the check on a GPU (docs/gpu.md). `make check-gpu-pack` builds one folder, $(BUILD)/gpu-pack,
# with all that it needs beside libc and the driver: it can be copied to a machine that has a GPU and
# neither a compiler nor the libraries, and `run` there runs it. `make check-gpu` does so here.

SRC_check    := $(wildcard tests/gpu/check/*.c)
CHECK_COMMON := $(call obj,workers/device.c workers/device_open.c workers/device_host.c workers/transfer.c)
CHECK_ALSO   := $(SRC_check) $(addprefix workers/backends/cuda/,launch.c image.c mlp.c blas.c)
CHECK_REAL   := $(patsubst %.c,$(BUILD)/cuda/obj/%.o,$(CHECK_ALSO)) $(CHECK_COMMON) $(DEVICE_CUDA)
CHECK_FAKE   := $(patsubst %.c,$(BUILD)/fakecuda/obj/%.o,$(CHECK_ALSO)) $(CHECK_COMMON) $(FAKECUDA_DEVICE)
PACK         := $(BUILD)/gpu-pack
# Of the libraries that modeld is linked with, those that are not everywhere.
PACK_LIBS     = $(shell ldd $(BUILD)/modeld | awk '/=> \// && !/libc\.so|libm\.so/ {print $$3}')

$(CHECK_REAL) $(CHECK_FAKE): | $(PB_H)
$(BUILD)/gpu/check: $(CHECK_REAL) $(LIBS_BELOW_client)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(CUDART) $(LIBS_CLIENT) -ldl -lm -lpthread
# The same with the stand-in, for the ordinary tests.
$(BUILD)/fakecuda/check: $(CHECK_FAKE) $(FAKECUDA_LIB) $(LIBS_BELOW_client)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) $(FAKECUDA_LDFLAGS) -o $@ $^ $(LIBS_CLIENT) -ldl -lm -lpthread
fakecuda: $(BUILD)/fakecuda/check

.PHONY: check-gpu check-gpu-pack
ifneq ($(HAVE_KERNELS),)
check-gpu-pack: all $(BUILD)/gpu/check $(BUILD)/gpu/probe $(PROBE_MODULE) $(EXAMPLE_BACKEND)  ## a folder that checks a GPU elsewhere
	$(Q)rm -rf $(PACK) && mkdir -p $(PACK)/lib $(PACK)/backends
	$(Q)cp $(BUILD)/modeld $(BUILD)/modeld-worker $(BUILD)/modelctl $(BUILD)/gpu/check $(BUILD)/gpu/probe \
		$(PROBE_MODULE) conf/modeld.conf tests/gpu/check/run $(PACK)
	$(Q)cp $(BUILD)/backends/cuda.so $(BUILD)/backends/onnxruntime.so $(EXAMPLE_BACKEND) $(PACK)/backends
	$(Q)cp -r tests/gpu/models tests/gpu/torch_models $(PACK)
	$(Q)cp workers/python/modeld-python tests/gpu/check/torch_loop.py $(PACK)
	$(Q)mkdir -p $(PACK)/modeld_worker && cp -r $(BUILD)/modeld-python-client $(NATIVE_SO:%/_native.abi3.so=%) $(PACK)
	$(Q)cp workers/python/modeld_worker/*.py $(PACK)/modeld_worker
	$(Q)mkdir $(PACK)/modeld_worker/client && cp workers/python/modeld_worker/client/*.py $(PACK)/modeld_worker/client
	$(Q)cp -r tests/models/onnx/add_sub $(PACK)/models
	$(Q)cp -L $(PACK_LIBS) $(PACK)/lib
	$(Q)strip --strip-debug $(PACK)/modeld $(PACK)/modeld-worker $(PACK)/modelctl $(PACK)/check $(PACK)/probe \
		$(PACK)/backends/cuda.so $(PACK)/backends/scale_cuda.so
	$(Q)du -sh $(PACK)
check-gpu: check-gpu-pack  ## everything that needs a GPU: right answers, copies, faults, beside bare loops
	$(Q)$(PACK)/run $(X)
else
check-gpu check-gpu-pack:
	@echo "$@: no CUDA toolkit (nvcc in the PATH, or CUDA_HOME=dir): nothing was built"
endif
