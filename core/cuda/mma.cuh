/* Tensor-core instructions of sm_80 and later, for bf16 with fp32 sums; tests/simt/warp.c does the
 * same on the host. Register layouts: PTX ISA, mma.m16n8k16 and ldmatrix. */
#ifndef FLIP_CUDA_MMA_CUH
#define FLIP_CUDA_MMA_CUH

#include "cuda/kernel.cuh"

/* d [16,8] += a [16,16] b [16,8] by the whole warp. Of d a lane holds rows lane / 4 (d[0], d[1])
 * and lane / 4 + 8 (d[2], d[3]), columns 2 (lane % 4) and the next. */
DEVICE void mma_bf16(float *d, const uint32_t *a, const uint32_t *b) {
#ifdef __CUDACC__
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  simt_mma_bf16(d, a, b, __FILE__, __LINE__);
#endif
}

DEVICE void load_matrices(uint32_t *out, const uint16_t *row) {
#ifdef __CUDACC__
  uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address));
#else
  simt_load_matrices(out, row, false, __FILE__, __LINE__);
#endif
}

DEVICE void load_matrices_transposed(uint32_t *out, const uint16_t *row) {
#ifdef __CUDACC__
  uint32_t address = (uint32_t)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(address));
#else
  simt_load_matrices(out, row, true, __FILE__, __LINE__);
#endif
}

/* a [16,16] of mma_bf16 from rows of shared memory: tile(row, k). */
DEVICE void load_a(uint32_t *a, const uint16_t *tile, int pitch, int row, int k) {
  load_matrices(a, tile + (row + lane_index() % 16) * pitch + k + lane_index() / 16 * 8);
}

/* a [16,16] from rows that run along the rows of a: tile(k, row). */
DEVICE void load_a_transposed(uint32_t *a, const uint16_t *tile, int pitch, int k, int row) {
  load_matrices_transposed(a, tile + (k + lane_index() % 8 + lane_index() / 16 * 8) * pitch + row +
                                  lane_index() / 8 % 2 * 8);
}

/* b [16,16], two operands of mma_bf16 next to each other, from rows that run along k: tile(column,
 * k). */
DEVICE void load_b(uint32_t *b, const uint16_t *tile, int pitch, int column, int k) {
  load_matrices(b, tile + (column + lane_index() % 8 + lane_index() / 16 * 8) * pitch + k +
                       lane_index() / 8 % 2 * 8);
}

/* The same from rows that run along the columns: tile(k, column). */
DEVICE void load_b_transposed(uint32_t *b, const uint16_t *tile, int pitch, int k, int column) {
  load_matrices_transposed(b,
                           tile + (k + lane_index() % 16) * pitch + column + lane_index() / 16 * 8);
}

#endif
