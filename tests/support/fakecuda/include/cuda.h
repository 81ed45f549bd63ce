/*
 * cuda.h, the stand-in's: as much of CUDA's driver as modeld and its clients use, for memory that processes hand to each other by
 * descriptors. Names, values and the layout of structs are the driver's.
 */
#ifndef FAKECUDA_CUDA_H
#define FAKECUDA_CUDA_H

#include <stddef.h>

#include "driver_constants.h"

#define FAKECUDA_ENUMERATOR(name, value, ...) name = (value),
typedef enum cudaError_enum { FAKECUDA_RESULTS(FAKECUDA_ENUMERATOR) } CUresult;
typedef enum CUmemAllocationType_enum {
	FAKECUDA_ALLOCATION_TYPES(FAKECUDA_ENUMERATOR)
} CUmemAllocationType;
typedef enum CUmemAllocationHandleType_enum {
	FAKECUDA_HANDLE_TYPES(FAKECUDA_ENUMERATOR)
} CUmemAllocationHandleType;
typedef enum CUmemLocationType_enum {
	FAKECUDA_LOCATION_TYPES(FAKECUDA_ENUMERATOR)
} CUmemLocationType;
typedef enum CUmemAccess_flags_enum {
	FAKECUDA_ACCESS_FLAGS(FAKECUDA_ENUMERATOR)
} CUmemAccess_flags;
typedef enum CUmemAllocationGranularity_flags_enum {
	FAKECUDA_GRANULARITIES(FAKECUDA_ENUMERATOR)
} CUmemAllocationGranularity_flags;
typedef enum CUpointer_attribute_enum {
	FAKECUDA_POINTER_ATTRIBUTES(FAKECUDA_ENUMERATOR)
} CUpointer_attribute;
#undef FAKECUDA_ENUMERATOR

typedef unsigned long long CUdeviceptr;
typedef unsigned long long CUmemGenericAllocationHandle;
typedef int CUdevice;
typedef struct CUctx_st *CUcontext;

typedef struct CUuuid_st {
	char bytes[16];
} CUuuid;

typedef struct CUmemLocation_st {
	CUmemLocationType type;
	int id;
} CUmemLocation;

typedef struct CUmemAllocationProp_st {
	CUmemAllocationType type;
	CUmemAllocationHandleType requestedHandleTypes;
	CUmemLocation location;
	void *win32HandleMetaData;
	struct {
		unsigned char compressionType;
		unsigned char gpuDirectRDMACapable;
		unsigned short usage;
		unsigned char reserved[4];
	} allocFlags;
} CUmemAllocationProp;

typedef struct CUmemAccessDesc_st {
	CUmemLocation location;
	CUmemAccess_flags flags;
} CUmemAccessDesc;

#include "driver_prototypes.h"

#endif
