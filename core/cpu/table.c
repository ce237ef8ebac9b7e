/* The table of one variant's kernels. */
#include "cpu/gemm_amx.h"
#include "cpu/kernel.h"

extern const cpu_kernels CPU_KERNEL(kernels);
const cpu_kernels CPU_KERNEL(kernels) = {
    .ops =
        {
            .activate = CPU_KERNEL(activate),
            .advance_scales = CPU_KERNEL(advance_scales),
            .layer_norm = CPU_KERNEL(layer_norm),
            .layer_norm_gradient = CPU_KERNEL(layer_norm_gradient),
            .attention = CPU_KERNEL(attention),
            .attention_gradient = CPU_KERNEL(attention_gradient),
            .attended = CPU_KERNEL(attended),
            .patches = CPU_KERNEL(patches),
            .assemble = CPU_KERNEL(assemble),
            .assemble_gradient = CPU_KERNEL(assemble_gradient),
            .embed = CPU_KERNEL(embed),
            .embed_gradient = CPU_KERNEL(embed_gradient),
            .pool = CPU_KERNEL(pool),
            .pool_gradient = CPU_KERNEL(pool_gradient),
            .dropout = CPU_KERNEL(dropout),
            .normalize = CPU_KERNEL(normalize),
            .normalize_gradient = CPU_KERNEL(normalize_gradient),
            .contrastive_statistics = CPU_KERNEL(contrastive_statistics),
            .contrastive_gradient = CPU_KERNEL(contrastive_gradient),
            .contrastive_finish = CPU_KERNEL(contrastive_finish),
            .pixel_error = CPU_KERNEL(pixel_error),
            .sum_squares = CPU_KERNEL(sum_squares),
            .sum_square_blocks = CPU_KERNEL(sum_square_blocks),
            .sum = CPU_KERNEL(sum),
            .adamw = CPU_KERNEL(adamw),
            .average = CPU_KERNEL(average),
            .fill = CPU_KERNEL(fill),
            .cast = CPU_KERNEL(cast),
        },
    .activate_gradient = CPU_KERNEL(activate_gradient),
    .add_sums = CPU_KERNEL(add_sums),
#ifdef __AMX_BF16__
    .multiplies_in_tiles = CPU_KERNEL(multiplies_in_tiles),
    .gemm_in_tiles = CPU_KERNEL(gemm_in_tiles),
#endif
    .round_operand = CPU_KERNEL(round_operand),
    .widen_operand = CPU_KERNEL(widen_operand),
    .finish_narrow = CPU_KERNEL(finish_narrow),
};
