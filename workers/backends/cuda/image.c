/* image.c: the kernels, compiled (KERNELS is the file's path). */
#include "workers/backends/cuda/cuda.h"

__asm__(".section .rodata\n"
	".balign 64\n"
	".globl cuda_image\n"
	".hidden cuda_image\n"
	"cuda_image:\n"
	".incbin \"" KERNELS "\"\n"
	".byte 0\n"
	".previous\n");
