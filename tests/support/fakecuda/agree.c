/*
 * agree.c: compiled with NVIDIA's headers, never run: it compiles only where the stand-in's
 * prototypes and constants are those of the real runtime.
 */
#include <cuda_runtime_api.h>

#include "tests/support/fakecuda/include/cuda_constants.h"
#include "tests/support/fakecuda/include/cuda_prototypes.h"

#define AGREES(name, value, ...) _Static_assert((int)name == (value), #name);
FAKECUDA_ERRORS(AGREES)
FAKECUDA_FLAGS(AGREES)
FAKECUDA_CAPTURE_MODES(AGREES)
FAKECUDA_COPY_KINDS(AGREES)
FAKECUDA_DEVICE_ATTRIBUTES(AGREES)
FAKECUDA_POOL_ATTRIBUTES(AGREES)
#if CUDART_VERSION >= 12080
FAKECUDA_ACCESS_ORDERS(AGREES)
#endif
