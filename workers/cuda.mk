# cuda.mk: what drives GPUs. DEVICE_CUDA and CUDART are what a worker is linked with: the CUDA device
# and the toolkit's static runtime, which looks for a driver only when it is called; or a few lines
# that say that there is none. FAKECUDA_* are the same with the stand-in (tests/support/fakecuda), by
# which tests see GPUs on machines that have neither a GPU nor a toolkit.

CUDA      ?= auto
CUDA_HOME ?= /usr/local/cuda
NVCC      ?= $(or $(shell command -v nvcc 2>/dev/null),$(wildcard $(CUDA_HOME)/bin/nvcc))
NVCC      := $(NVCC)
# A distribution's package has them in the compiler's own search path.
CUDA_INCLUDE  := $(patsubst %/cuda_runtime_api.h,%,$(firstword $(wildcard \
                 $(patsubst %/bin/nvcc,%,$(NVCC))/include/cuda_runtime_api.h \
                 $(CUDA_HOME)/include/cuda_runtime_api.h /usr/include/cuda_runtime_api.h)))
CUDART_STATIC := $(firstword $(wildcard $(addsuffix /libcudart_static.a, \
                 $(patsubst %/bin/nvcc,%,$(NVCC))/lib64 $(CUDA_HOME)/lib64 \
                 /usr/lib/x86_64-linux-gnu /usr/lib/aarch64-linux-gnu)))
HAVE_CUDA     := $(if $(filter-out 0,$(CUDA)),$(and $(CUDA_INCLUDE),$(CUDART_STATIC)))
ifeq ($(CUDA)$(HAVE_CUDA),1)
$(error CUDA=1, but there is no toolkit: nvcc in the PATH, or CUDA_HOME=dir)
endif

SRC_cuda      := $(wildcard workers/device_cuda*.c)
DEVICE_CUDA   := $(call obj,$(if $(HAVE_CUDA),$(SRC_cuda),workers/device_nocuda.c))
CUDART        := $(if $(HAVE_CUDA),$(CUDART_STATIC) -lrt)
$(BUILD)/obj/workers/device_cuda%.o: CPPFLAGS += -isystem $(CUDA_INCLUDE)

# --- The backend of that name ---------------------------------------------------------------
# nvcc reads sources with a C++ compiler. Code for every generation that the toolkit knows, and later.
KERNELS      := $(BUILD)/cuda/kernels.fatbin
KERNELS_ARCH ?= all-major
SRC_kernels  := $(wildcard workers/backends/cuda/*.c) src/base/digits.c
HAVE_KERNELS := $(and $(HAVE_CUDA),$(NVCC),$(shell command -v g++ 2>/dev/null))
CUDA_BACKEND := $(if $(HAVE_KERNELS),$(BUILD)/backends/cuda.so)

$(KERNELS): workers/backends/cuda/kernels.cu
	@mkdir -p $(@D)
	@echo "  NVCC    $<"
	$(Q)$(NVCC) -fatbin -arch=$(KERNELS_ARCH) -o $@ $<
$(BUILD)/backends/cuda.so: $(patsubst %.c,$(BUILD)/cuda/obj/%.o,$(SRC_kernels))
	@mkdir -p $(@D)
	@echo "  SO      $@"
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,--exclude-libs,ALL -o $@ $^ $(CUDART) -ldl -lpthread
$(BUILD)/cuda/obj/%.o: %.c | $(PB_H)
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS) -isystem $(CUDA_INCLUDE) $(CFLAGS) -MMD -MP -fPIC -fvisibility=hidden -c -o $@ $<
$(BUILD)/cuda/obj/workers/backends/cuda/image.o: CPPFLAGS += -DKERNELS='"$(KERNELS)"'
$(BUILD)/cuda/obj/workers/backends/cuda/image.o: $(KERNELS)
all: $(CUDA_BACKEND)

# --- The stand-in ---------------------------------------------------------------------------
FAKECUDA_INCLUDE := tests/support/fakecuda/include
FAKECUDA_LIB     := $(BUILD)/fakecuda/libfakecuda.so
FAKECUDA_DEVICE  := $(patsubst %.c,$(BUILD)/fakecuda/obj/%.o,$(SRC_cuda))
FAKECUDA_WORKER  := $(BUILD)/fakecuda/modeld-worker
FAKECUDA_FLAGS   := -isystem $(FAKECUDA_INCLUDE) -DKERNELS='"workers/backends/cuda/kernels.cu"' \
                    -DBLAS_LIBRARIES='"libfakecublasLt.so"'
FAKECUDA_LDFLAGS := -Wl,-rpath,$(abspath $(BUILD)/fakecuda)

# Where there is a toolkit, the compiler compares the stand-in with it.
$(FAKECUDA_LIB): $(patsubst %.c,$(BUILD)/fakecuda/obj/%.o,$(wildcard tests/support/fakecuda/fake_*.c)) \
		$(if $(HAVE_CUDA),$(BUILD)/fakecuda/agree.o) \
		$(if $(HAVE_CUDA),$(patsubst %,$(BUILD)/fakecuda/agree_driver.o,$(wildcard $(CUDA_INCLUDE)/cuda.h))) \
		$(if $(HAVE_CUDA),$(patsubst %,$(BUILD)/fakecuda/agree_blas.o,$(wildcard $(CUDA_INCLUDE)/cublasLt.h)))
	@echo "  SO      $@"
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,$(@F) -o $@ $(filter-out %/agree.o %/agree_driver.o %/agree_blas.o,$^) -lpthread
$(addprefix $(BUILD)/fakecuda/,agree.o agree_driver.o agree_blas.o): $(BUILD)/fakecuda/%.o: tests/support/fakecuda/%.c \
		workers/backends/cuda/blas_types.h $(wildcard $(FAKECUDA_INCLUDE)/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -isystem $(CUDA_INCLUDE) $(CFLAGS) -c -o $@ $<
$(BUILD)/fakecuda/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $< (stand-in)"
	$(Q)$(CC) $(CPPFLAGS) $(FAKECUDA_FLAGS) $(CFLAGS) -MMD -MP -fPIC -fvisibility=hidden -c -o $@ $<
$(FAKECUDA_WORKER): $(BUILD)/obj/workers/main.o $(FAKECUDA_DEVICE) $(LIBS_BELOW_workers) $(FAKECUDA_LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(LDFLAGS) $(FAKECUDA_LDFLAGS) -o $@ $^ $(LIBS_WORKER)
# And the driver's management library, which the daemon finds by LD_LIBRARY_PATH.
FAKENVML_LIB := $(BUILD)/fakecuda/libnvidia-ml.so.1
$(FAKENVML_LIB): $(BUILD)/fakecuda/obj/tests/support/fakecuda/nvml.o
	@echo "  SO      $@"
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-soname,$(@F) -o $@ $^
# The driver, as programs that look it up by its name have it.
FAKEDRIVER_LIB := $(BUILD)/fakecuda/driver/libcuda.so.1
$(FAKEDRIVER_LIB): $(FAKECUDA_LIB)
	@mkdir -p $(@D)
	@echo "  SO      $@"
	$(Q)$(CC) $(LDFLAGS) $(FAKECUDA_LDFLAGS) -shared -Wl,--no-as-needed -Wl,-soname,$(@F) -o $@ $^
# A layer by cuBLASLt, for workers that find it by LD_LIBRARY_PATH.
FAKEBLAS_LIB := $(BUILD)/fakecuda/blas/libfakecublasLt.so
$(FAKEBLAS_LIB): $(BUILD)/fakecuda/obj/tests/support/fakecuda/blas.o $(FAKECUDA_LIB)
	@mkdir -p $(@D)
	@echo "  SO      $@"
	$(Q)$(CC) $(LDFLAGS) $(FAKECUDA_LDFLAGS) -shared -Wl,-soname,$(@F) -o $@ $^
# The stand-in knows the kernels by name: it does not look at the image.
FAKECUDA_BACKEND := $(BUILD)/fakecuda/backends/cuda.so
$(FAKECUDA_BACKEND): $(patsubst %.c,$(BUILD)/fakecuda/obj/%.o,$(SRC_kernels)) $(FAKECUDA_LIB)
	@mkdir -p $(@D)
	@echo "  SO      $@"
	$(Q)$(CC) $(LDFLAGS) $(FAKECUDA_LDFLAGS) -shared -o $@ $^

# --- The example of docs/backends.md ----------------------------------------------------------
# Built as its first lines say: for the stand-in, and for GPUs where there is a toolkit.
EXAMPLE_INCLUDE  := $(BUILD)/cuda/include
EXAMPLE_CFLAGS   := -std=c11 -O2 -Wall -Wextra $(if $(filter 0,$(DEVELOPER)),,-Werror) -shared -fPIC -I$(EXAMPLE_INCLUDE)
EXAMPLE_BACKEND  := $(if $(HAVE_CUDA),$(BUILD)/cuda/scale_cuda.so)
FAKECUDA_EXAMPLE := $(BUILD)/fakecuda/backends/scale_cuda.so
$(EXAMPLE_INCLUDE)/modeld/backend.h: workers/backend.h
	@mkdir -p $(@D)
	$(Q)cp $< $@
$(BUILD)/cuda/scale_cuda.so: docs/examples/scale_cuda_backend.c $(EXAMPLE_INCLUDE)/modeld/backend.h
	@echo "  SO      $@"
	$(Q)$(CC) $(EXAMPLE_CFLAGS) -isystem $(CUDA_INCLUDE) -o $@ $< -Wl,--exclude-libs,ALL $(CUDART) -ldl -lpthread
$(FAKECUDA_EXAMPLE): docs/examples/scale_cuda_backend.c $(EXAMPLE_INCLUDE)/modeld/backend.h $(FAKECUDA_LIB)
	@mkdir -p $(@D)
	@echo "  SO      $@"
	$(Q)$(CC) $(EXAMPLE_CFLAGS) -I$(FAKECUDA_INCLUDE) $(FAKECUDA_LDFLAGS) -o $@ $< $(FAKECUDA_LIB)
.PHONY: fakecuda
fakecuda: $(FAKECUDA_EXAMPLE) $(EXAMPLE_BACKEND)
fakecuda: $(FAKECUDA_WORKER) $(FAKECUDA_BACKEND) $(FAKENVML_LIB) $(FAKEBLAS_LIB) $(FAKEDRIVER_LIB)  ## workers with a stand-in for GPUs, for tests
UNIT_WITH_workers    := $(FAKECUDA_DEVICE) $(FAKECUDA_LIB)
UNIT_LDFLAGS_workers := $(FAKECUDA_LDFLAGS) -Wl,--wrap=clock_ns -Wl,--wrap=nanosleep
$(addprefix $(BUILD)/unit/,base/nvml_test pool/gpus_test pool/quarantine_test): | $(FAKENVML_LIB)

-include $(shell find $(BUILD)/fakecuda $(BUILD)/cuda -name '*.d' 2>/dev/null)
