/* The attention that a layer's queries pay to each key, summed over queries and heads: the scores
 * of attentive masking (ops_attended). Many queries in bf16: attended_short.cu.
 *
 * Bound: loads of k, one element a lane from a row of its own: for one query, a class token, or in
 * fp32, a small part of the scoring pass. Not measured on a GPU. */
#include "cuda/attended.cuh"

enum { ATTENDED_WARPS = 8, ATTENDED_BLOCK = ATTENDED_WARPS * LANES };

/* Grid: one block per image. A warp computes one (head, query) at a time, a lane every 32nd key;
 * each warp has separate sums, which are added in order at the end. Shared memory: a row of scores
 * and one of sums for each warp. */
DEVICE void attended_body(attended_arguments a, const int type) {
  SHARED_DYNAMIC(float, room);
  const ops_attended *op = &a.op;
  int64_t image = blockIdx.x, width = op->heads * op->head_width;
  int tokens = (int)op->tokens, warp = warp_index();
  float *row = room + (int64_t)warp * 2 * tokens, *sums = row + tokens;
  int64_t items = warp < a.warps ? op->heads * op->queries : 0;
  for (int j = lane_index(); warp < a.warps && j < tokens; j += LANES) sums[j] = 0;
  for (int64_t item = warp; item < items; item += a.warps) {
    int64_t head = item / op->queries, query = item % op->queries;
    int64_t first = image * op->tokens * 3 * width + head * op->head_width;
    int64_t q = first + query * 3 * width;
    float most = -FLT_MAX, sum = 0;
    for (int j = lane_index(); j < tokens; j += LANES) {
      int64_t k = first + (int64_t)j * 3 * width + width;
      float product = 0;
      for (int64_t d = 0; d < op->head_width; d++)
        product +=
            load_element(op->qkv.data, type, q + d) * load_element(op->qkv.data, type, k + d);
      row[j] = product * a.scale;
      most = fmaxf(most, row[j]);
    }
    most = warp_max(most);
    for (int j = lane_index(); j < tokens; j += LANES) sum += row[j] = expf(row[j] - most);
    float inverse = 1.0f / warp_sum(sum);
    for (int j = lane_index(); j < tokens; j += LANES) sums[j] += row[j] * inverse;
  }
  __syncthreads();
  add_scores(&a, room + tokens, 2 * tokens, a.warps);
}
KERNEL_PAIR(attended, attended_arguments, ATTENDED_BLOCK)

int kernel_attended(const ops_attended *op, void *stream) {
  if (op->tokens > KERNEL_MOST_ATTENDED || op->queries < 1 || op->first >= op->tokens)
    return KERNEL_INVALID;
  int64_t row = 2 * op->tokens * (int64_t)sizeof(float);
  int64_t warps = KERNEL_MOST_ATTENDED * 2 * (int64_t)sizeof(float) / row;
  attended_arguments a = {*op, (int)at_most(warps, ATTENDED_WARPS),
                          1.0f / sqrtf((float)op->head_width)};
  if (op->batch <= 0) return 0;
  int launched = attended_is_short(op) ? kernel_attended_short(&a, stream) : KERNEL_REFUSED;
  if (launched != KERNEL_REFUSED) return launched;
  return LAUNCH_PAIR(attended, op->qkv.type, GRID(op->batch, 1), ATTENDED_BLOCK,
                     (size_t)(row * a.warps), stream, a);
}
