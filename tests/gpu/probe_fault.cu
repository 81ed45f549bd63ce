/*
 * probe_fault.cu: the one kernel of the GPU probe, a module of its own so that the rest needs no
 * nvcc. With words = 0 it writes where it may; otherwise wherever the caller likes.
 */
extern "C" __global__ void store(unsigned *to, long long words, unsigned value)
{
	to[words] = value;
}
