/*
 * cuda_constants.h: the constants of CUDA's runtime that modeld uses, with their values: the
 * stand-in defines them from here, and agree.c compares them with NVIDIA's.
 */
#ifndef FAKECUDA_CUDA_CONSTANTS_H
#define FAKECUDA_CUDA_CONSTANTS_H

/* X(name, code, what it means) */
#define FAKECUDA_ERRORS(X)                                                                         \
	X(cudaSuccess, 0, "no error")                                                              \
	X(cudaErrorInvalidValue, 1, "invalid argument")                                            \
	X(cudaErrorMemoryAllocation, 2, "out of memory")                                           \
	X(cudaErrorInitializationError, 3, "initialization error")                                 \
	X(cudaErrorCudartUnloading, 4, "driver shutting down")                                     \
	X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                      \
	X(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient")                  \
	X(cudaErrorCallRequiresNewerDriver, 36, "API call is not supported in the driver")         \
	X(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable")    \
	X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                            \
	X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                   \
	X(cudaErrorDeviceUninitialized, 201, "invalid device context")                             \
	X(cudaErrorMapBufferObjectFailed, 205, "mapping of buffer object failed")                  \
	X(cudaErrorNoKernelImageForDevice, 209, "no kernel image is available")                    \
	X(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered")                   \
	X(cudaErrorNvlinkUncorrectable, 220, "uncorrectable NVLink error detected")                \
	X(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                          \
	X(cudaErrorSymbolNotFound, 500, "named symbol not found")                                  \
	X(cudaErrorNotReady, 600, "device not ready")                                              \
	X(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                \
	X(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")           \
	X(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated")                  \
	X(cudaErrorPeerAccessAlreadyEnabled, 704, "peer access is already enabled")                \
	X(cudaErrorPeerAccessNotEnabled, 705, "peer access has not been enabled")                  \
	X(cudaErrorContextIsDestroyed, 709, "context is destroyed")                                \
	X(cudaErrorAssert, 710, "device-side assert triggered")                                    \
	X(cudaErrorHostMemoryAlreadyRegistered, 712, "memory is already registered")               \
	X(cudaErrorHostMemoryNotRegistered, 713, "memory is not registered")                       \
	X(cudaErrorHardwareStackError, 714, "hardware stack error")                                \
	X(cudaErrorIllegalInstruction, 715, "an illegal instruction was encountered")              \
	X(cudaErrorMisalignedAddress, 716, "misaligned address")                                   \
	X(cudaErrorInvalidAddressSpace, 717, "operation not supported on this address space")      \
	X(cudaErrorInvalidPc, 718, "invalid program counter")                                      \
	X(cudaErrorLaunchFailure, 719, "unspecified launch failure")                               \
	X(cudaErrorCooperativeLaunchTooLarge, 720, "too many blocks in cooperative launch")        \
	X(cudaErrorNotPermitted, 800, "operation not permitted")                                   \
	X(cudaErrorNotSupported, 801, "operation not supported")                                   \
	X(cudaErrorSystemNotReady, 802, "system not yet initialized")                              \
	X(cudaErrorSystemDriverMismatch, 803, "unsupported display driver combination")            \
	X(cudaErrorMpsConnectionFailed, 805, "MPS client failed to connect")                       \
	X(cudaErrorMpsRpcFailure, 806, "MPS server and client cannot communicate")                 \
	X(cudaErrorMpsServerNotReady, 807, "MPS server is not ready")                              \
	X(cudaErrorMpsMaxClientsReached, 808, "maximum number of MPS clients reached")             \
	X(cudaErrorMpsMaxConnectionsReached, 809, "maximum number of MPS connections reached")     \
	X(cudaErrorStreamCaptureUnsupported, 900, "not permitted when stream is capturing")        \
	X(cudaErrorStreamCaptureInvalidated, 901, "capture was invalidated")                       \
	X(cudaErrorStreamCaptureMerge, 902, "two capture sequences would merge")                   \
	X(cudaErrorStreamCaptureUnmatched, 903, "capture was not initiated in this stream")        \
	X(cudaErrorStreamCaptureUnjoined, 904, "unjoined work in the capturing stream")            \
	X(cudaErrorStreamCaptureIsolation, 905, "dependency would cross the capture")              \
	X(cudaErrorStreamCaptureImplicit, 906, "would make the legacy stream depend")              \
	X(cudaErrorCapturedEvent, 907, "event was last recorded in a capturing stream")            \
	X(cudaErrorUnknown, 999, "unknown error")

/* X(name, value), one list an enumeration */
#define FAKECUDA_FLAGS(X)                                                                          \
	X(cudaHostAllocDefault, 0)                                                                 \
	X(cudaHostRegisterDefault, 0)                                                              \
	X(cudaHostRegisterReadOnly, 8)                                                             \
	X(cudaStreamNonBlocking, 1)                                                                \
	X(cudaIpcMemLazyEnablePeerAccess, 1)                                                       \
	X(cudaEventDefault, 0)                                                                     \
	X(cudaEventDisableTiming, 2)
#define FAKECUDA_CAPTURE_MODES(X) X(cudaStreamCaptureModeThreadLocal, 1)
#define FAKECUDA_COPY_KINDS(X)                                                                     \
	X(cudaMemcpyHostToDevice, 1)                                                               \
	X(cudaMemcpyDeviceToHost, 2)                                                               \
	X(cudaMemcpyDeviceToDevice, 3)
#define FAKECUDA_DEVICE_ATTRIBUTES(X) X(cudaDevAttrHostRegisterReadOnlySupported, 113)
#define FAKECUDA_ACCESS_ORDERS(X)     X(cudaMemcpySrcAccessOrderStream, 1)
#define FAKECUDA_POOL_ATTRIBUTES(X)   X(cudaMemPoolAttrReleaseThreshold, 4)

#endif
