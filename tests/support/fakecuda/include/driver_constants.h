/* driver_constants.h: the constants of CUDA's driver that are used, as cuda_constants.h has the runtime's. X(name, value) */
#ifndef FAKECUDA_DRIVER_CONSTANTS_H
#define FAKECUDA_DRIVER_CONSTANTS_H

#define FAKECUDA_RESULTS(X)                                                                        \
	X(CUDA_SUCCESS, 0)                                                                         \
	X(CUDA_ERROR_INVALID_VALUE, 1)                                                             \
	X(CUDA_ERROR_OUT_OF_MEMORY, 2)                                                             \
	X(CUDA_ERROR_NO_DEVICE, 100)                                                               \
	X(CUDA_ERROR_INVALID_DEVICE, 101)                                                          \
	X(CUDA_ERROR_INVALID_CONTEXT, 201)                                                         \
	X(CUDA_ERROR_NOT_SUPPORTED, 801)
#define FAKECUDA_ALLOCATION_TYPES(X) X(CU_MEM_ALLOCATION_TYPE_PINNED, 1)
#define FAKECUDA_HANDLE_TYPES(X)                                                                   \
	X(CU_MEM_HANDLE_TYPE_NONE, 0)                                                              \
	X(CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 1)
#define FAKECUDA_LOCATION_TYPES(X) X(CU_MEM_LOCATION_TYPE_DEVICE, 1)
#define FAKECUDA_ACCESS_FLAGS(X)                                                                   \
	X(CU_MEM_ACCESS_FLAGS_PROT_NONE, 0)                                                        \
	X(CU_MEM_ACCESS_FLAGS_PROT_READ, 1)                                                        \
	X(CU_MEM_ACCESS_FLAGS_PROT_READWRITE, 3)
#define FAKECUDA_GRANULARITIES(X)      X(CU_MEM_ALLOC_GRANULARITY_MINIMUM, 0)
#define FAKECUDA_POINTER_ATTRIBUTES(X) X(CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, 9)

#endif
