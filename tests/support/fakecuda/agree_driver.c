/* agree_driver.c: as agree.c, with the driver's header: prototypes, constants, and the layout of structs. Compiled, never run. */
#include <cuda.h>
#include <stddef.h>

#include "tests/support/fakecuda/include/driver_constants.h"
#include "tests/support/fakecuda/include/driver_prototypes.h"

#define AGREES(name, value, ...) _Static_assert((int)name == (value), #name);
FAKECUDA_RESULTS(AGREES)
FAKECUDA_ALLOCATION_TYPES(AGREES)
FAKECUDA_HANDLE_TYPES(AGREES)
FAKECUDA_LOCATION_TYPES(AGREES)
FAKECUDA_ACCESS_FLAGS(AGREES)
FAKECUDA_GRANULARITIES(AGREES)
FAKECUDA_POINTER_ATTRIBUTES(AGREES)

/* As clients that load the driver by its name have them, too (clients/python/modeld/_cuda.py). */
_Static_assert(sizeof(CUmemAllocationProp) == 32, "CUmemAllocationProp");
_Static_assert(offsetof(CUmemAllocationProp, location) == 8, "CUmemAllocationProp.location");
_Static_assert(sizeof(CUmemAccessDesc) == 12, "CUmemAccessDesc");
_Static_assert(sizeof(CUuuid) == 16, "CUuuid");
