/*
 * device_cuda_error.c: what an error of CUDA is the end of: a call, this process, or the GPU's use.
 *
 * CUDA says of some errors that they leave the process in an inconsistent state: they stick, every
 * later call returns them, and nothing short of a new process helps. Others mean that a new process
 * would fare no better. All others are a call's own. Worker process, any thread.
 */
#include <stdio.h>

#include "workers/device_cuda_private.h"

/* cudaErrorContained, which older toolkits do not name. */
#define ERROR_CONTAINED 226
/* Codes from here on that are named nowhere below are taken for the context's end. */
#define FIRST_OF_THE_CONTEXT 700

/* Of those from FIRST_OF_THE_CONTEXT on: the call's own. */
static bool is_request(cudaError_t error)
{
	switch (error) {
	case cudaErrorLaunchOutOfResources:
	case cudaErrorPeerAccessAlreadyEnabled:
	case cudaErrorPeerAccessNotEnabled:
	case cudaErrorHostMemoryAlreadyRegistered:
	case cudaErrorHostMemoryNotRegistered:
	case cudaErrorCooperativeLaunchTooLarge:
	case cudaErrorNotPermitted:
	case cudaErrorNotSupported:
	case cudaErrorStreamCaptureUnsupported:
	case cudaErrorStreamCaptureInvalidated:
	case cudaErrorStreamCaptureMerge:
	case cudaErrorStreamCaptureUnmatched:
	case cudaErrorStreamCaptureUnjoined:
	case cudaErrorStreamCaptureIsolation:
	case cudaErrorStreamCaptureImplicit:
	case cudaErrorCapturedEvent:
		return true;
	default:
		return false;
	}
}

static bool is_unusable(cudaError_t error)
{
	switch (error) {
	case cudaErrorInitializationError:
	case cudaErrorInsufficientDriver:
	case cudaErrorDevicesUnavailable:
	case cudaErrorNoDevice:
	case cudaErrorSystemNotReady:
	case cudaErrorSystemDriverMismatch:
	case cudaErrorMpsConnectionFailed:
	case cudaErrorMpsRpcFailure:
	case cudaErrorMpsServerNotReady:
	case cudaErrorMpsMaxClientsReached:
	case cudaErrorMpsMaxConnectionsReached:
		return true;
	default:
		return false;
	}
}

/* Of those below FIRST_OF_THE_CONTEXT. */
static bool is_lost(cudaError_t error)
{
	switch ((int)error) {
	case cudaErrorCudartUnloading:
	case cudaErrorECCUncorrectable:
	case cudaErrorNvlinkUncorrectable:
	case ERROR_CONTAINED:
		return true;
	default:
		return error >= FIRST_OF_THE_CONTEXT && !is_request(error);
	}
}

int cuda_result(cudaError_t error)
{
	if (error == cudaSuccess)
		return 0;
	(void)cudaGetLastError();
	if (error == cudaErrorNotReady)
		return device_result(DEVICE_E_PENDING, error);
	if (error == cudaErrorMemoryAllocation)
		return device_result(DEVICE_E_MEMORY, error);
	if (is_unusable(error))
		return device_result(DEVICE_E_UNUSABLE, error);
	return device_result(is_lost(error) ? DEVICE_E_LOST : DEVICE_E_REQUEST, error);
}

void cuda_explain(int code, char *text, size_t cap)
{
	snprintf(text, cap, "%s (%d): %s", cudaGetErrorName((cudaError_t)code), code,
		cudaGetErrorString((cudaError_t)code));
}
