/* Launchers of the hand-written kernels: one for each op of ops.h except gemm, and the parts that a
 * matrix-product library leaves over (activations, column sums, 8-bit quantisation).
 *
 * All pointers are device memory (host memory under tests/simt). Everything is launched on `stream`
 * (a cudaStream_t) and may be captured in a graph: no launcher waits, allocates or reads device
 * values. The caller provides scratch, aligned to 256 bytes, of at least the size returned by the
 * function of the same name; it is free again when the stream has passed the launch. Returns a
 * cudaError_t as int, 0 for success; the invalid-value error for unsupported shapes. Results are
 * bit-reproducible: sums are split into parts that depend only on the shape and added in order,
 * without floating-point atomics. */
#ifndef FLIP_CUDA_KERNELS_H
#define FLIP_CUDA_KERNELS_H

#include "ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Width to KERNEL_WIDEST_NORM; with an output in 8 bits, from bf16 to KERNEL_WIDEST_NARROW_NORM. */
enum { KERNEL_WIDEST_NORM = 8192, KERNEL_WIDEST_NARROW_NORM = 1280 };
int kernel_layer_norm(const ops_layer_norm *n, void *stream);
size_t kernel_layer_norm_gradient_scratch(int64_t rows, int64_t width);
int kernel_layer_norm_gradient(const ops_layer_norm_gradient *n, void *scratch, void *stream);

/* Head width 1 to KERNEL_WIDEST_HEAD, any number of tokens. bf16 uses tensor cores; up to 256
 * tokens of heads of 32 to 128, multiples of 16, kernels of which a block has a whole head. */
enum { KERNEL_WIDEST_HEAD = 128 };
int kernel_attention(const ops_attention *a, void *stream);
size_t kernel_attention_gradient_scratch(const ops_attention *a);
int kernel_attention_gradient(const ops_attention *a, void *scratch, void *stream);
/* To a's dqkv_narrow, if there is one, from the dqkv that another library has computed. */
int kernel_attention_gradient_round(const ops_attention *a, void *stream);

/* The most tokens whose rows fit into 48 KiB of shared memory. */
enum { KERNEL_MOST_ATTENDED = 6144 };
int kernel_attended(const ops_attended *a, void *stream);

int kernel_patches(const ops_patches *p, void *stream);
int kernel_assemble(const ops_assemble *a, void *stream);
/* Rows of a table whose gradient is computed: dpositions here, dtable of the words. */
enum { KERNEL_LONGEST_TABLE = 65536 };
size_t kernel_assemble_gradient_scratch(int64_t batch, int64_t keep, int64_t width);
int kernel_assemble_gradient(const ops_assemble *a, void *scratch, void *stream);
int kernel_embed(const ops_embed *e, void *stream);
/* dtable and dpositions may each be absent. */
size_t kernel_embed_gradient_scratch(int64_t batch, int64_t length, int64_t width);
int kernel_embed_gradient(const ops_embed *e, void *scratch, void *stream);

int kernel_pool(const ops_pool *p, void *stream);
int kernel_pool_gradient(const ops_pool *p, void *stream);
/* key: that of rng_at(seed, RNG_DROPOUT, …) (base/rng.h), which depends only on the seed. */
int kernel_dropout(const ops_dropout *d, const uint32_t key[2], void *stream);
int kernel_normalize(const ops_normalize *n, void *stream);
int kernel_normalize_gradient(const ops_normalize *n, void *stream);

size_t kernel_contrastive_scratch(int64_t rows, int64_t columns); /* statistics and gradient */
int kernel_contrastive_statistics(const ops_contrastive *c, void *scratch, void *stream);
int kernel_contrastive_gradient(const ops_contrastive *c, void *scratch, void *stream);
int kernel_contrastive_finish(const ops_contrastive_end *c, void *stream);

int kernel_pixel_error(const ops_pixel_error *p, void *stream);

size_t kernel_sum_squares_scratch(void);
int kernel_sum_squares(int64_t count, ops_buffer x, ops_buffer out, void *scratch, void *stream);
int kernel_sum_square_blocks(int64_t count, ops_buffer x, ops_buffer out, void *stream);
int kernel_sum(int64_t count, ops_buffer x, ops_buffer out, void *stream);
/* key: that of rng_at(seed, RNG_MOMENTS, …). */
int kernel_adamw(const ops_adamw *a, const uint32_t key[2], void *stream);
/* average [count] = momentum * average + (1 - momentum) * x. */
int kernel_average(int64_t count, ops_buffer x, ops_buffer average, double momentum, void *stream);
int kernel_fill(int64_t count, ops_buffer x, double value, void *stream);
/* to [count] master += from, of either type. */
int kernel_add(int64_t count, ops_buffer from, ops_buffer to, void *stream);
int kernel_cast(int64_t count, ops_buffer from, ops_buffer to, void *stream);

/* to [count] fp32 = the sum over `ranks` ranks, in their order, of received [ranks, stride]: where
 * its own rank would be there, of own [count] instead, which may be the same memory as `to`.
 * received, own: fp32 or bf16. */
int kernel_rank_sums(int64_t count, int ranks, int own_rank, int64_t stride, ops_buffer received,
                     ops_buffer own, ops_buffer to, void *stream);

/* c [count] = act(pre), or c *= act'(pre); compute type; exact to the definitions of ops.h. c and
 * pre may be the same memory in the first. */
int kernel_activation(ops_activation activation, int64_t count, ops_buffer pre, ops_buffer c,
                      void *stream);
int kernel_activation_gradient(ops_activation activation, int64_t count, ops_buffer pre,
                               ops_buffer c, void *stream);

/* c [rows, columns] *= act'(pre), sums [columns] master += the sums over the rows of c, and maximum
 * [1], or absent, is raised to the largest |c|. */
size_t kernel_activation_gradient_sums_scratch(int64_t rows, int64_t columns);
int kernel_activation_gradient_sums(ops_activation activation, int64_t rows, int64_t columns,
                                    ops_buffer pre, ops_buffer c, ops_buffer sums,
                                    ops_buffer maximum, void *scratch, void *stream);

/* sums [columns] master += the sums over the rows of x, whose rows are `stride` elements apart: a
 * bias gradient. x of compute or master type. */
size_t kernel_column_sums_scratch(int64_t rows, int64_t columns);
int kernel_column_sums(int64_t rows, int64_t columns, int64_t stride, ops_buffer x, ops_buffer sums,
                       void *scratch, void *stream);
/* sums [columns] master += the sums over the rows of parts [count, columns], in their order. The
 * parts are the sums that kernels wrote of their rows. */
int kernel_add_parts(int64_t count, int64_t columns, const float *parts, ops_buffer sums,
                     void *stream);
/* sums [rows] master += the sums over the columns of x [rows, columns]. */
int kernel_row_sums(int64_t rows, int64_t columns, ops_buffer x, ops_buffer sums, void *stream);

/* Of devices with 8-bit products, in tenths. */
enum { KERNEL_FP8_CAPABILITY = 89 };
/* Operands of these products (ops_table.narrow), in 8-bit floats as the Open Compute Project
 * defines them (OFP8, 2023): to nearest, ties to even, saturating; NaN becomes 0x7F. One matrix may
 * be of fp32; several are of bf16, without activation and without a known maximum. */
size_t kernel_narrow_scratch(const ops_rounding *list, size_t count);
int kernel_narrow(const ops_rounding *list, size_t count, void *scratch, void *stream);
int kernel_advance_scales(const ops_scales *s, void *stream);
/* turned [columns, rows] = values [rows, columns], bytes. */
int kernel_turn(int64_t rows, int64_t columns, ops_buffer values, ops_buffer turned, void *stream);
/* maximum [1] fp32 is raised to the largest |x|; NaN elements count as nothing. */
int kernel_maximum(int64_t count, ops_buffer x, ops_buffer maximum, void *stream);

#ifdef __cplusplus
}
#endif
#endif
