/*
 * ort.h: the part of ONNX Runtime's C interface that this backend uses, declared here because the
 * packages that bring the library bring no header. The interface is a table of functions that only
 * ever grows at its end; each slot's number is asserted below. A function that returns a struct
 * OrtStatus returns NULL on success, else a status that the caller releases. Names are ONNX
 * Runtime's own.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_ORT_H
#define WORKERS_BACKENDS_ONNXRUNTIME_ORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtValue;
struct OrtMemoryInfo;
struct OrtAllocator;
struct OrtTypeInfo;
struct OrtSequenceTypeInfo;
struct OrtTensorTypeAndShapeInfo;
struct OrtCUDAProviderOptionsV2;
struct OrtThreadingOptions;

/* What is asked for: the table of 1.19, the first release whose Python package brings the library. */
#define ORT_API_VERSION	   19u
#define ORT_OLDEST_RELEASE "1.19"
/* The table from which on TensorTypeAndShape_HasShape is there. */
#define ORT_API_VERSION_HAS_SHAPE 24u

enum ort_error_code {
	ORT_INVALID_ARGUMENT = 2,
	ORT_NOT_IMPLEMENTED = 9,
};

enum ort_log_level {
	ORT_LOG_VERBOSE,
	ORT_LOG_INFO,
	ORT_LOG_WARNING,
	ORT_LOG_ERROR,
	ORT_LOG_FATAL,
};

enum ort_optimization {
	ORT_OPTIMIZE_NONE = 0,
	ORT_OPTIMIZE_BASIC = 1,
	ORT_OPTIMIZE_EXTENDED = 2,
	ORT_OPTIMIZE_ALL = 99,
};

enum ort_type {
	ORT_TYPE_TENSOR = 1,
	ORT_TYPE_SEQUENCE = 2,
	ORT_TYPE_MAP = 3,
	ORT_TYPE_OPAQUE = 4,
	ORT_TYPE_SPARSE = 5,
	ORT_TYPE_OPTIONAL = 6,
};

enum ort_element {
	ORT_ELEMENT_FLOAT = 1,
	ORT_ELEMENT_UINT8 = 2,
	ORT_ELEMENT_INT8 = 3,
	ORT_ELEMENT_UINT16 = 4,
	ORT_ELEMENT_INT16 = 5,
	ORT_ELEMENT_INT32 = 6,
	ORT_ELEMENT_INT64 = 7,
	ORT_ELEMENT_STRING = 8,
	ORT_ELEMENT_BOOL = 9,
	ORT_ELEMENT_FLOAT16 = 10,
	ORT_ELEMENT_DOUBLE = 11,
	ORT_ELEMENT_UINT32 = 12,
	ORT_ELEMENT_UINT64 = 13,
	ORT_ELEMENT_COMPLEX64 = 14,
	ORT_ELEMENT_COMPLEX128 = 15,
	ORT_ELEMENT_BFLOAT16 = 16,
	ORT_ELEMENT_FLOAT8E4M3FN = 17,
	ORT_ELEMENT_FLOAT8E4M3FNUZ = 18,
	ORT_ELEMENT_FLOAT8E5M2 = 19,
	ORT_ELEMENT_FLOAT8E5M2FNUZ = 20,
	ORT_ELEMENT_UINT4 = 21,
	ORT_ELEMENT_INT4 = 22,
	ORT_ELEMENT_FLOAT4E2M1 = 23,
	ORT_ELEMENT_UINT2 = 24,
	ORT_ELEMENT_INT2 = 25,
};

#define ORT_EXECUTION_PARALLEL 1
#define ORT_ALLOCATOR_DEVICE   0
#define ORT_ALLOCATOR_ARENA    1
#define ORT_MEMORY_DEFAULT     0

typedef void (*ort_log_fn)(void *context, enum ort_log_level level, const char *category,
	const char *id, const char *where, const char *text);

struct OrtApi {
	void *slots_0[1];
	int (*GetErrorCode)(const struct OrtStatus *);
	const char *(*GetErrorMessage)(const struct OrtStatus *);
	void *slots_3[1];
	struct OrtStatus *(*CreateEnvWithCustomLogger)(ort_log_fn log, void *context,
		enum ort_log_level level, const char *id, struct OrtEnv **ret_env);
	void *slots_5[1];
	struct OrtStatus *(*DisableTelemetryEvents)(const struct OrtEnv *);
	struct OrtStatus *(*CreateSession)(const struct OrtEnv *, const char *path,
		const struct OrtSessionOptions *, struct OrtSession **ret_session);
	void *slots_8[1];
	struct OrtStatus *(*Run)(struct OrtSession *, const struct OrtRunOptions *,
		const char *const *input_names, const struct OrtValue *const *inputs,
		size_t n_inputs, const char *const *output_names, size_t n_outputs,
		struct OrtValue **outputs);
	struct OrtStatus *(*CreateSessionOptions)(struct OrtSessionOptions **ret_options);
	void *slots_11[2];
	struct OrtStatus *(*SetSessionExecutionMode)(struct OrtSessionOptions *, int mode);
	void *slots_14[3];
	struct OrtStatus *(*DisableMemPattern)(struct OrtSessionOptions *);
	void *slots_18[1];
	struct OrtStatus *(*DisableCpuMemArena)(struct OrtSessionOptions *);
	void *slots_20[3];
	struct OrtStatus *(*SetSessionGraphOptimizationLevel)(
		struct OrtSessionOptions *, int level);
	struct OrtStatus *(*SetIntraOpNumThreads)(struct OrtSessionOptions *, int n);
	struct OrtStatus *(*SetInterOpNumThreads)(struct OrtSessionOptions *, int n);
	void *slots_26[3];
	struct OrtStatus *(*RegisterCustomOpsLibrary)(
		struct OrtSessionOptions *, const char *path, void **ret_handle);
	struct OrtStatus *(*SessionGetInputCount)(const struct OrtSession *, size_t *ret_n);
	struct OrtStatus *(*SessionGetOutputCount)(const struct OrtSession *, size_t *ret_n);
	void *slots_32[1];
	struct OrtStatus *(*SessionGetInputTypeInfo)(
		const struct OrtSession *, size_t index, struct OrtTypeInfo **ret_info);
	struct OrtStatus *(*SessionGetOutputTypeInfo)(
		const struct OrtSession *, size_t index, struct OrtTypeInfo **ret_info);
	void *slots_35[1];
	struct OrtStatus *(*SessionGetInputName)(
		const struct OrtSession *, size_t index, struct OrtAllocator *, char **ret_name);
	struct OrtStatus *(*SessionGetOutputName)(
		const struct OrtSession *, size_t index, struct OrtAllocator *, char **ret_name);
	void *slots_38[1];
	struct OrtStatus *(*CreateRunOptions)(struct OrtRunOptions **ret_options);
	void *slots_40[8];
	struct OrtStatus *(*CreateTensorAsOrtValue)(struct OrtAllocator *, const int64_t *dims,
		size_t rank, enum ort_element, struct OrtValue **ret_value);
	struct OrtStatus *(*CreateTensorWithDataAsOrtValue)(const struct OrtMemoryInfo *,
		void *data, size_t bytes, const int64_t *dims, size_t rank, enum ort_element,
		struct OrtValue **ret_value);
	struct OrtStatus *(*IsTensor)(const struct OrtValue *, int *ret_is);
	struct OrtStatus *(*GetTensorMutableData)(struct OrtValue *, void **ret_data);
	void *slots_52[1];
	struct OrtStatus *(*GetStringTensorDataLength)(const struct OrtValue *, size_t *ret_bytes);
	void *slots_54[1];
	struct OrtStatus *(*CastTypeInfoToTensorInfo)(
		const struct OrtTypeInfo *, const struct OrtTensorTypeAndShapeInfo **ret_info);
	struct OrtStatus *(*GetOnnxTypeFromTypeInfo)(
		const struct OrtTypeInfo *, enum ort_type *ret_type);
	void *slots_57[3];
	struct OrtStatus *(*GetTensorElementType)(
		const struct OrtTensorTypeAndShapeInfo *, enum ort_element *ret_element);
	struct OrtStatus *(*GetDimensionsCount)(
		const struct OrtTensorTypeAndShapeInfo *, size_t *ret_rank);
	struct OrtStatus *(*GetDimensions)(
		const struct OrtTensorTypeAndShapeInfo *, int64_t *dims, size_t rank);
	struct OrtStatus *(*GetSymbolicDimensions)(
		const struct OrtTensorTypeAndShapeInfo *, const char **names, size_t rank);
	void *slots_64[1];
	struct OrtStatus *(*GetTensorTypeAndShape)(
		const struct OrtValue *, struct OrtTensorTypeAndShapeInfo **ret_info);
	void *slots_66[2];
	struct OrtStatus *(*CreateMemoryInfo)(const char *name, int allocator_type, int id,
		int memory_type, struct OrtMemoryInfo **ret_info);
	struct OrtStatus *(*CreateCpuMemoryInfo)(
		int allocator_type, int memory_type, struct OrtMemoryInfo **ret_info);
	void *slots_70[6];
	struct OrtStatus *(*AllocatorFree)(struct OrtAllocator *, void *p);
	void *slots_77[1];
	struct OrtStatus *(*GetAllocatorWithDefaultOptions)(struct OrtAllocator **ret_allocator);
	void *slots_79[13];
	void (*ReleaseEnv)(struct OrtEnv *);
	void (*ReleaseStatus)(struct OrtStatus *);
	void (*ReleaseMemoryInfo)(struct OrtMemoryInfo *);
	void (*ReleaseSession)(struct OrtSession *);
	void (*ReleaseValue)(struct OrtValue *);
	void (*ReleaseRunOptions)(struct OrtRunOptions *);
	void (*ReleaseTypeInfo)(struct OrtTypeInfo *);
	void (*ReleaseTensorTypeAndShapeInfo)(struct OrtTensorTypeAndShapeInfo *);
	void (*ReleaseSessionOptions)(struct OrtSessionOptions *);
	void *slots_101[3];
	struct OrtStatus *(*CastTypeInfoToSequenceTypeInfo)(
		const struct OrtTypeInfo *, const struct OrtSequenceTypeInfo **ret_info);
	void *slots_105[2];
	struct OrtStatus *(*GetSequenceElementType)(
		const struct OrtSequenceTypeInfo *, struct OrtTypeInfo **ret_type);
	void *slots_108[12];
	struct OrtStatus *(*DisablePerSessionThreads)(struct OrtSessionOptions *);
	struct OrtStatus *(*CreateThreadingOptions)(struct OrtThreadingOptions **ret_options);
	void (*ReleaseThreadingOptions)(struct OrtThreadingOptions *);
	void *slots_123[4];
	struct OrtStatus *(*GetStringTensorElementLength)(
		const struct OrtValue *, size_t index, size_t *ret_bytes);
	struct OrtStatus *(*GetStringTensorElement)(
		const struct OrtValue *, size_t bytes, size_t index, void *to);
	void *slots_129[1];
	struct OrtStatus *(*AddSessionConfigEntry)(
		struct OrtSessionOptions *, const char *key, const char *value);
	void *slots_131[16];
	struct OrtStatus *(*SetGlobalIntraOpNumThreads)(struct OrtThreadingOptions *, int n);
	struct OrtStatus *(*SetGlobalInterOpNumThreads)(struct OrtThreadingOptions *, int n);
	struct OrtStatus *(*SetGlobalSpinControl)(struct OrtThreadingOptions *, int allow);
	void *slots_150[1];
	struct OrtStatus *(*CreateEnvWithCustomLoggerAndGlobalThreadPools)(ort_log_fn log,
		void *context, enum ort_log_level level, const char *id,
		const struct OrtThreadingOptions *, struct OrtEnv **ret_env);
	void *slots_152[13];
	struct OrtStatus *(*AddRunConfigEntry)(
		struct OrtRunOptions *, const char *key, const char *value);
	void *slots_166[38];
	struct OrtStatus *(*SessionOptionsAppendExecutionProvider_CUDA_V2)(
		struct OrtSessionOptions *, const struct OrtCUDAProviderOptionsV2 *);
	struct OrtStatus *(*CreateCUDAProviderOptions)(
		struct OrtCUDAProviderOptionsV2 **ret_options);
	struct OrtStatus *(*UpdateCUDAProviderOptions)(struct OrtCUDAProviderOptionsV2 *,
		const char *const *keys, const char *const *values, size_t n);
	void *slots_207[1];
	void (*ReleaseCUDAProviderOptions)(struct OrtCUDAProviderOptionsV2 *);
	void *slots_209[43];
	/* The memory of one string of a string tensor, made `bytes` long. */
	struct OrtStatus *(*GetResizedStringTensorElementBuffer)(
		struct OrtValue *, size_t index, size_t bytes, char **ret_data);
	void *slots_253[137];
	/* Only where ORT_API_VERSION_HAS_SHAPE is offered. */
	bool (*TensorTypeAndShape_HasShape)(const struct OrtTensorTypeAndShapeInfo *);
};

struct OrtApiBase {
	const struct OrtApi *(*GetApi)(uint32_t version);
	const char *(*GetVersionString)(void);
};

#define ORT_SLOT(member, n)                                                                        \
	_Static_assert(offsetof(struct OrtApi, member) == (n) * sizeof(void *), #member)
ORT_SLOT(GetErrorCode, 1);
ORT_SLOT(CreateEnvWithCustomLogger, 4);
ORT_SLOT(DisableTelemetryEvents, 6);
ORT_SLOT(CreateSession, 7);
ORT_SLOT(Run, 9);
ORT_SLOT(SetSessionExecutionMode, 13);
ORT_SLOT(DisableMemPattern, 17);
ORT_SLOT(DisableCpuMemArena, 19);
ORT_SLOT(SetSessionGraphOptimizationLevel, 23);
ORT_SLOT(RegisterCustomOpsLibrary, 29);
ORT_SLOT(SessionGetInputCount, 30);
ORT_SLOT(SessionGetInputTypeInfo, 33);
ORT_SLOT(SessionGetInputName, 36);
ORT_SLOT(CreateRunOptions, 39);
ORT_SLOT(CreateTensorAsOrtValue, 48);
ORT_SLOT(GetStringTensorDataLength, 53);
ORT_SLOT(CastTypeInfoToTensorInfo, 55);
ORT_SLOT(GetTensorElementType, 60);
ORT_SLOT(GetTensorTypeAndShape, 65);
ORT_SLOT(CreateCpuMemoryInfo, 69);
ORT_SLOT(CreateMemoryInfo, 68);
ORT_SLOT(AllocatorFree, 76);
ORT_SLOT(GetAllocatorWithDefaultOptions, 78);
ORT_SLOT(ReleaseEnv, 92);
ORT_SLOT(ReleaseRunOptions, 97);
ORT_SLOT(ReleaseTypeInfo, 98);
ORT_SLOT(CastTypeInfoToSequenceTypeInfo, 104);
ORT_SLOT(GetSequenceElementType, 107);
ORT_SLOT(DisablePerSessionThreads, 120);
ORT_SLOT(GetStringTensorElementLength, 127);
ORT_SLOT(AddSessionConfigEntry, 130);
ORT_SLOT(SetGlobalIntraOpNumThreads, 147);
ORT_SLOT(CreateEnvWithCustomLoggerAndGlobalThreadPools, 151);
ORT_SLOT(AddRunConfigEntry, 165);
ORT_SLOT(SessionOptionsAppendExecutionProvider_CUDA_V2, 204);
ORT_SLOT(ReleaseCUDAProviderOptions, 208);
ORT_SLOT(GetResizedStringTensorElementBuffer, 252);
ORT_SLOT(TensorTypeAndShape_HasShape, 390);
#undef ORT_SLOT

#endif
