/* Asynchronous copies of 16 bytes from global to shared memory that bypass registers (cp.async,
 * sm_80 and later); tests/simt/copy.c does the same on the host. A thread sees the bytes after
 * copies_wait, the others of its block after the next barrier. */
#ifndef FLIP_CUDA_ASYNC_CUH
#define FLIP_CUDA_ASYNC_CUH

#include "cuda/kernel.cuh"

/* Zeros where `is_there` is false; `from` is not read then. */
DEVICE void copy_async(uint16_t *to, const uint16_t *from, bool is_there) {
#ifdef __CUDACC__
  uint32_t address = (uint32_t)__cvta_generic_to_shared(to);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(address), "l"(from), "r"(is_there ? 16 : 0)
               : "memory");
#else
  simt_copy_async(to, from, is_there, __FILE__, __LINE__);
#endif
}

/* Waits for all copies of this thread. */
DEVICE void copies_wait(void) {
#ifdef __CUDACC__
  asm volatile("cp.async.wait_all;" : : : "memory");
#else
  simt_copy_commit();
  simt_copy_wait(0);
#endif
}

#endif
