/* ops: the interface between model and backends. The model is written once on these operations; a
 * backend (cpu/, cuda/, and the double-precision reference of the tests) implements them.
 *
 * Buffers are typed pointers into the backend's memory; all matrices are row-major and dense.
 * `compute` is the type of activations and of the weights' working copy (fp32, bf16; double in the
 * reference), `master` that of parameters, gradients, statistics and sums (fp32; double in the
 * reference). Sums are always in master precision or better. Gradients of parameters are
 * accumulated (+=); all other outputs are overwritten.
 *
 * Every op returns NULL or an error of the backend; contradictory shapes are a bug and abort in all
 * builds. No op allocates memory for a shape it has seen before. */
#ifndef FLIP_OPS_OPS_H
#define FLIP_OPS_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { OPS_F32, OPS_BF16, OPS_F64, OPS_I32, OPS_U8 } ops_type;

typedef struct {
  void *data; /* NULL: absent */
  ops_type type;
} ops_buffer;

static inline size_t ops_size_of(ops_type type) {
  return type == OPS_F64 ? 8 : type == OPS_BF16 ? 2 : type == OPS_U8 ? 1 : 4;
}

/* The buffer that starts `elements` later; an absent buffer stays absent. */
static inline ops_buffer ops_at(ops_buffer buffer, int64_t elements) {
  if (buffer.data) buffer.data = (char *)buffer.data + elements * (int64_t)ops_size_of(buffer.type);
  return buffer;
}

typedef enum { OPS_GELU_TANH, OPS_GELU_ERF, OPS_QUICK_GELU } ops_activation; /* as in settings.h */

/* Sizes of 8-bit products are multiples of this. */
enum { OPS_NARROW_MULTIPLE = 16 };

typedef enum {
  OPS_EPILOGUE_NONE,
  OPS_EPILOGUE_ACTIVATION,         /* pre = result (kept for backward); c = act(pre) */
  OPS_EPILOGUE_ACTIVATION_GRADIENT /* c = result * act'(pre) */
} ops_epilogue;

/* A matrix [rows, columns] as an operand of products in 8 bits (OFP8; Micikevicius et al. 2022):
 * its values times a factor, rounded to the nearest number of the format, ties to even, saturating.
 * Hardware multiplies operands that are stored along the dimension that is summed over: `values` is
 * [rows, columns], `turned` is [columns, rows]; what no product uses may be absent.
 * scale: OPS_SCALE_FLOATS fp32 numbers, of which those named here are used. */
typedef enum { OPS_E4M3, OPS_E5M2 } ops_fp8;
enum {
  OPS_SCALE_MAXIMUM = 0, /* the largest |x| */
  OPS_SCALE_FACTOR = 1,
  OPS_SCALE_SATURATED = 2, /* of delayed scaling, an int32: values beyond the format's largest */
  OPS_SCALE_INVERSE = 4,   /* 1 / factor: libraries read it at a multiple of 16 bytes */
  OPS_SCALE_FLOATS = 8
};
enum { OPS_SCALE_HISTORY = 16 }; /* steps whose maxima determine a delayed factor */
typedef struct {
  ops_fp8 format;
  ops_buffer values, turned; /* OPS_U8 */
  ops_buffer scale;          /* absent: there is no such operand */
} ops_narrow;

/* Rounds x [rows, columns] bf16, or the activation of x as ops_activate gives it, to 8 bits. The
 * factor is the format's largest number by the largest |x| (1 if there is none, or if it is not
 * finite). scale[OPS_SCALE_MAXIMUM] is 0 on entry, or already that maximum: with has_maximum it is,
 * because the op that made x has written it.
 *
 * is_delayed: the factor is the one in `scale` instead (ops_scales). The maximum is raised to the
 * largest |x|, and values beyond the format's largest, which become that number, are added to
 * OPS_SCALE_SATURATED. With `pre` (ops_table.has_maxima, delayed only) x * act'(pre), as it would
 * be stored, is rounded: the gradient through the activation. sums [columns] master, or absent: +=
 * the sums of that over the rows. */
typedef struct {
  int64_t rows, columns;
  ops_buffer x;
  bool is_activated;
  ops_activation activation;
  bool has_maximum, is_delayed;
  ops_buffer pre, sums;
  ops_narrow to;
} ops_rounding;

/* The end of a step with delayed scaling (NVIDIA's Transformer Engine): for each of `count`
 * operands [count, OPS_SCALE_FLOATS] that was rounded in it, the maximum joins history [count,
 * OPS_SCALE_HISTORY], whose oldest is dropped, and becomes 0; the factor becomes the format's
 * largest number by the largest in the history, as in ops_rounding. saturated [1] fp32 = the sum of
 * the counts, which become 0. Operands from `gradients` on are in e5m2, the others in e4m3.
 * The maximum is the largest of all ranks, and their counts are summed: gathered holds the same
 * scales of each of `ranks` ranks, those of a rank `stride` fp32 numbers after those of the one
 * before; of one rank it is `scales`. */
typedef struct {
  int64_t count, gradients;
  ops_buffer scales, history, saturated;
  bool adds; /* saturated += */
  ops_buffer gathered;
  int64_t ranks, stride;
} ops_scales;

/* c [m,n] (+)= op(a) op(b) + bias, then the epilogue.
 * a is [m,k], or [k,m] if transpose_a; b is [k,n], or [n,k] if transpose_b. */
typedef struct {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  bool accumulate; /* c += … ; c must be of master type, without bias or epilogue */
  ops_buffer a, b, c;
  /* Both present: the product is that of these 8-bit operands. op(a) is then narrow_a.values or, if
   * transpose_a, narrow_a.turned; op(b) is narrow_b.turned or, if transpose_b, narrow_b.values. b
   * may be absent, and a if there are no a_sums, which are those of a. m, n and k are multiples of
   * OPS_NARROW_MULTIPLE. */
  ops_narrow narrow_a, narrow_b;
  ops_buffer bias;      /* [n] master, or absent */
  ops_buffer bias_copy; /* [n] compute, or absent: the bias already rounded, for backends that would
                         * round it */
  ops_buffer a_sums;    /* [m] master, or absent: += sums of op(a) over k (a bias gradient) */
  ops_buffer c_sums;    /* OPS_SUMS_ACTIVATION, ACTIVATION_GRADIENT: [n] master, or absent */
  ops_epilogue epilogue;
  ops_activation activation;
  ops_buffer pre;       /* [m,n] compute, for the activation epilogues */
  ops_buffer activated; /* with OPS_EPILOGUE_ACTIVATION_GRADIENT: [m,n] compute, or absent (ops.
                         * chunk_bytes): = act(pre), with the bits of the epilogue ACTIVATION */
  ops_buffer c_maximum; /* with OPS_EPILOGUE_ACTIVATION_GRADIENT */
} ops_gemm;

/* c [count] = act(pre) [count], both compute: recomputes a product's epilogue. */
typedef struct {
  ops_activation activation;
  int64_t count;
  ops_buffer pre, c;
} ops_activate;

/* y [rows,width] = layer norm of x (+ residual). Biased variance, eps inside the root.
 * With a residual, `sum` receives x + residual; sum may be the same memory as either. Whether the
 * norm is that of the sum as stored, or before it is rounded, is the backend's choice. */
typedef struct {
  int64_t rows, width;
  double eps;
  ops_buffer x;
  ops_buffer residual, sum; /* both or neither */
  ops_buffer gamma, beta;   /* [width] master */
  ops_buffer y;             /* compute */
  ops_buffer mean, rstd;    /* [rows] master, kept for backward */
  ops_buffer y_maximum;     /* as all maxima (ops_table.has_maxima) */
  /* If present, as ops_table.narrow would round y with is_delayed; y and y_maximum are then absent.
   * rows and width are multiples of OPS_NARROW_MULTIPLE, width is at most
   * ops_table.widest_narrow_norm. */
  ops_narrow narrow;
} ops_layer_norm;

/* dx [rows,width] = gradient through the norm (+ dresidual); x: the normed input (the sum). */
typedef struct {
  int64_t rows, width;
  ops_buffer dy, x, gamma, mean, rstd;
  ops_buffer dresidual;     /* compute, or absent; may be the same memory as dx */
  ops_buffer dx;            /* compute */
  ops_buffer dgamma, dbeta; /* [width] master, += */
  ops_buffer dx_sums;       /* OPS_SUMS_NORM: [width] master, or absent */
  ops_buffer dx_maximum;
  /* Both, or absent (ops.chunk_bytes): y compute = the norm's output, with the bits of
   * ops_layer_norm. */
  ops_buffer y, beta;
} ops_layer_norm_gradient;

/* softmax(q kᵀ / sqrt(head_width)) v for every image and head.
 * qkv [batch, tokens, 3, heads, head_width]; out [batch, tokens, heads, head_width];
 * lse [batch, heads, tokens] master: log of the softmax denominator, kept for backward.
 * key_counts [batch] i32, or absent: keys from there on are not attended to (padding). With none at
 * all, out and the image's part of dqkv are zeros and lse is -infinity, the logarithm of an empty
 * sum. */
typedef struct {
  int64_t batch, tokens, heads, head_width;
  bool is_causal;
  ops_buffer qkv, key_counts, out, lse;
  ops_buffer dout, dqkv; /* backward only */
  ops_buffer dqkv_sums;  /* OPS_SUMS_ATTENTION: [3 * heads * head_width] master, or absent */
  ops_buffer out_maximum, dqkv_maximum;
  /* If present, with ops_table.narrows_attention: as ops_table.narrow would round dqkv with
   * is_delayed. batch * tokens and 3 * heads * head_width are multiples of OPS_NARROW_MULTIPLE,
   * dqkv_maximum is absent, and what dqkv holds afterwards is not defined. */
  ops_narrow dqkv_narrow;
} ops_attention;

/* The attention of a layer's queries: scores [batch, tokens - first] master += weight * the sum
 * over heads and over the first `queries` tokens, as queries, of softmax(q kᵀ / sqrt(head_width))
 * at the keys from token `first` on; the softmax is over all tokens. qkv as in ops_attention. */
typedef struct {
  int64_t batch, tokens, heads, head_width, queries, first;
  double weight;
  ops_buffer qkv, scores;
} ops_attended;

/* Patches of normalised images, the kept ones only.
 * images [batch, size, size, 3] u8; index [batch, keep] i32: patch numbers, row by row; a value
 * v < 0 means patch ~v as zeros (mask mode `zero`).
 * patches [batch * keep, 3 * patch * patch] compute, each in (channel, y, x) order:
 * (pixel / 255 - mean) / deviation. */
typedef struct {
  int64_t batch, size, patch, keep;
  float mean[3], deviation[3];
  ops_buffer images, index, patches;
} ops_patches;

/* tokens [batch, keep + has_class, width]: class token first, then patch + its position.
 * positions [count, width] master; row 0 belongs to the class token if class_has_position. */
typedef struct {
  int64_t batch, keep, width;
  bool class_has_position;
  ops_buffer patches, index, class_token, positions, tokens;
  ops_buffer dtokens, dpatches;        /* backward: dpatches compute */
  ops_buffer dclass_token, dpositions; /* backward: master, +=; absent where not learned */
} ops_assemble;

/* tokens [batch, length, width] = table[ids] + positions[places]. The backward is deterministic. */
typedef struct {
  int64_t batch, length, width, vocabulary;
  ops_buffer ids;              /* [batch, length] i32, each in [0, vocabulary) */
  ops_buffer places;           /* likewise, rows of positions; absent: 0 to length - 1 */
  ops_buffer table, positions; /* [vocabulary, width], [length or more, width] master */
  ops_buffer tokens;           /* compute */
  ops_buffer dtokens, dtable;
  ops_buffer dpositions; /* absent where not learned */
} ops_embed;

typedef enum { OPS_POOL_MEAN, OPS_POOL_INDEX } ops_pooling;

/* pooled [batch, width] of x [batch, tokens, width]: the mean over tokens, or the token given by
 * index [batch] i32 (absent: token 0). The backward writes all of dx. */
typedef struct {
  int64_t batch, tokens, width;
  ops_pooling pooling;
  ops_buffer x, index, pooled;
  ops_buffer dpooled, dx;
} ops_pool;

/* y = x / (|x| + eps), row by row. FLIP adds 1e-8 to the norm. norms [rows] master. */
typedef struct {
  int64_t rows, width;
  double eps;
  ops_buffer x, y, norms;
  ops_buffer dy, dx;
} ops_normalize;

/* y = dropout(x) (+ residual), over `samples` samples of `elements` elements: an element is zero
 * with probability `rate`, else x / (1 - rate). Element e of a sample is dropped where draw e of
 * rng_at(seed, RNG_DROPOUT, site, the sample's number) (base/rng.h) is below rate * 2^32: backward
 * calls it again with the gradient as x, and no mask is stored. rate 0: y = x + residual.
 * numbers [samples, 2] i32: low and high word of each sample's number; may be absent at rate 0.
 * is_whole: all elements of a sample share draw 0, so that samples are dropped whole (drop path).
 * y may be the same memory as x or residual. */
typedef struct {
  int64_t samples, elements;
  double rate;
  bool is_whole;
  uint64_t seed, site;
  ops_buffer numbers, x, residual, y; /* compute */
} ops_dropout;

/* The contrastive loss, one tile of rows at a time, never the whole matrix.
 * cosines [rows, columns] master: image row i against every text. Row i's own text is column
 * first_row + i. scale_log: [1] master, the logit scale's logarithm; clipped to
 * [scale_log_least, scale_log_most] (NaN stays NaN) it gives logits = exp(scale_log) * cosines.
 *   statistics: row_lse[i], positive[i] of the tile's rows; column_max/column_sum running.
 *   gradient:   cosines become d loss / d cosines, d loss / d scale_log is added to dscale_log,
 *               or nothing if scale_log is beyond a bound;
 *               row_weight, column_weight: of a row's and a column's cross-entropy in the loss,
 *               1 / (2 * global batch) each when both directions count. */
typedef struct {
  int64_t rows, columns, first_row;
  double scale_log_least, scale_log_most;
  ops_buffer cosines, scale_log;
  ops_buffer row_lse, positive;      /* [rows] master */
  ops_buffer column_max, column_sum; /* [columns] master */
  ops_buffer column_lse;             /* [columns] master, gradient only */
  double row_weight, column_weight;
  ops_buffer dscale_log; /* [1] master, += */
} ops_contrastive;

/* Finishes the statistics: column_lse = max + log(sum), and loss [1] master = sum over the batch of
 * row_weight (row_lse - positive) + column_weight (column_lse - positive). */
typedef struct {
  int64_t count;
  double row_weight, column_weight;
  ops_buffer row_lse, positive, column_max, column_sum, column_lse, loss;
} ops_contrastive_end;

/* The squared error of predicted pixels of some patches of each image (MAE, He et al. 2021), and
 * its gradient. The target of a patch is its pixels as ops_patches gives them, brought to mean 0
 * and variance 1 over the patch: (x - mean) / sqrt(variance + 1e-6), variance unbiased. images
 * [batch, size, size, 3] u8; index [batch, count] i32: the patches' numbers. predictions [batch *
 * count, 3 * patch * patch] compute, each in (channel, y, x) order. row_errors [batch * count]
 * master: sum of the squared differences of one patch; error [1] master: their sum. dpredictions =
 * scale * (predictions - target); may be the same memory as predictions.
 */
typedef struct {
  int64_t batch, size, patch, count;
  float mean[3], deviation[3];
  double scale;
  ops_buffer images, index, predictions;
  ops_buffer row_errors, error, dpredictions;
} ops_pixel_error;

/* AdamW (Loshchilov & Hutter 2019, decoupled decay) over a flat array of parameters, with global
 * gradient clipping. With g' = g * min(1, clip_norm / sqrt(norm_square)) (g itself if clip_norm is
 * 0): m, v updated; p -= rate * (mhat / (sqrt(vhat) + eps) + decay * p); copy receives p as
 * compute. Values that change from step to step are in the backend's memory, so that a captured
 * step can be replayed.
 *
 * m and v may be bf16. They are then computed in fp32, used unrounded in the same update, and
 * stored with stochastic rounding to one of the two neighbours, so that the stored value is correct
 * on average: for element i, with e = first + i, word e % 4 of rng_at(seed, RNG_MOMENTS, number,
 * e / 4) (base/rng.h) is drawn; its low 16 bits are added to m's bits, its high 16 bits to v's; the
 * upper 16 bits of the sums are stored (NaN stays NaN). */
typedef struct {
  int64_t first; /* place of element 0 in the run of all parameters; with bf16 a multiple of 4 */
  uint64_t seed; /* with bf16; and */
  ops_buffer number;      /* [1] i32: which update it is */
  int64_t count, decayed; /* elements [0, decayed) are under weight decay */
  double beta1, beta2, eps, weight_decay, clip_norm;
  ops_buffer rates;       /* [3] master: learning rate, 1 / (1 - beta1^t), 1 / (1 - beta2^t) */
  ops_buffer norm_square; /* [1] master: sum of squares of all gradients */
  ops_buffer parameters, gradients; /* master */
  ops_buffer m, v;                  /* master, or both bf16 */
  ops_buffer copy;                  /* compute, or absent */
} ops_adamw;

/* Gradients of ops that can also add the sums over the rows of their output: the bias gradient of
 * the dense layer whose output the op read, without another pass over it. A backend lists the
 * supported ones in ops_table.sums; if one is not listed, its buffer must be absent, and the dense
 * layer's product computes the sums (ops_gemm.a_sums). Sums are +=. */
enum {
  OPS_SUMS_ATTENTION = 1 << 0, /* ops_attention.dqkv_sums */
  OPS_SUMS_NORM = 1 << 1,      /* ops_layer_norm_gradient.dx_sums */
  OPS_SUMS_ACTIVATION = 1 << 2 /* ops_gemm.c_sums */
};

typedef struct ops ops;

/* Memory of a device, in bytes. peak: the most that this backend has held at once. */
typedef struct {
  uint64_t free, total, peak;
} ops_memory;

/* Readings of the device's sensors; negative where one cannot be read. */
typedef struct {
  double energy_joules; /* since the driver was loaded: take differences */
  double power_watts;
  double utilisation;     /* 0 to 1, over the last moment */
  double used_bytes;      /* of the whole device, other processes too */
  double clock_mhz;       /* of its processors, now */
  double other_processes; /* that compute on it */
} ops_usage;

enum { OPS_SQUARE_BLOCK = 1024 };
enum { OPS_DOWNLOADS = 2 }; /* that may be under way (download_behind) */

/* A backend: a table of functions. Ops run in the order in which they are called, but may return
 * before they are done; download and synchronize wait. */
typedef struct {
  const char *name;
  unsigned sums; /* OPS_SUMS_…: those that gradients can compute */
  /* The ops that make operands of 8-bit products also write their maximum: NAME_maximum, [1] fp32
   * or absent, is raised to the largest |NAME| as stored, NaN counting as nothing. False: these
   * buffers are absent, and ops_table.narrow finds the maximum. */
  bool has_maxima;
  int64_t widest_narrow_norm; /* columns of which layer_norm can write 8 bits; 0: none */
  bool narrows_attention;     /* attention_gradient can write 8 bits */
  err (*allocate)(ops *o, size_t bytes, const char *what, void **block);
  void (*release)(ops *o, void *block);
  /* Host to backend and back; `upload` is done with `from` when it returns. */
  err (*upload)(ops *o, void *to, const void *from, size_t bytes);
  err (*download)(ops *o, void *to, const void *from, size_t bytes);
  err (*clear)(ops *o, void *block, size_t bytes);
  err (*synchronize)(ops *o);

  /* Copies that overlap with running ops. upload_ahead waits for ops called before the last join,
   * not for later ones; `from` must not change until the next join. join waits until all copies are
   * finished; ops called after it see them. */
  err (*upload_ahead)(ops *o, void *to, const void *from, size_t bytes);
  err (*join)(ops *o);
  /* The same without the host waiting; all three NULL where buffers are host memory. follow: as
   * join, but returns at once: `from` must not change until an op called after it is done.
   * download_behind returns at once, and `to` has the result of the ops called before it after
   * await_download for the same place, one of OPS_DOWNLOADS. */
  err (*follow)(ops *o);
  err (*download_behind)(ops *o, int place, void *to, const void *from, size_t bytes);
  err (*await_download)(ops *o, int place);
  /* Host memory that is copied from often: pinned, so that copies need no CPU. NULL where there is
   * no benefit. */
  err (*pin)(ops *o, void *block, size_t bytes);
  void (*unpin)(ops *o, void *block);

  /* Work that may run concurrently. Ops called after branch(o, 1) see what was called before the
   * first branch since the last merge, those after branch(o, 0) continue the first branch, and
   * those after merge see all. Results are the same; NULL where there is no benefit. Ops are
   * called one after another until allow_branches, which may allocate memory, and after it only
   * while a step is recorded, unless is_always: an op that was not seen before is timed, which
   * other work would disturb. */
  err (*branch)(ops *o, int which);
  err (*merge)(ops *o);
  err (*allow_branches)(ops *o, bool is_always);

  /* Everything called between record and record_end is captured and not run; replay runs it. All
   * shapes must have been seen before. NULL where a backend does not support it. */
  err (*record)(ops *o);
  err (*record_end)(ops *o, void **recording);
  err (*replay)(ops *o, void *recording);
  void (*forget)(ops *o, void *recording);

  /* Of the device; NULL if the device uses host memory. */
  err (*memory)(ops *o, ops_memory *memory);
  void (*usage)(ops *o, ops_usage *usage);
  /* True when everything called so far is done. */
  bool (*is_idle)(ops *o);
  /* The device's queue on which ops are launched now (a cudaStream_t), so that other work can be
   * ordered among them. `is_other`: that of the other branch; NULL if there was no branch since the
   * last merge. NULL in the table: buffers are host memory. */
  void *(*queue)(ops *o, bool is_other);

  /* Rounds `count` matrices to 8 bits. These two: NULL where ops.is_narrow is false. */
  err (*narrow)(ops *o, const ops_rounding *list, size_t count);
  err (*advance_scales)(ops *o, const ops_scales *s);
  err (*gemm)(ops *o, const ops_gemm *g);
  err (*activate)(ops *o, const ops_activate *a);
  err (*layer_norm)(ops *o, const ops_layer_norm *n);
  err (*layer_norm_gradient)(ops *o, const ops_layer_norm_gradient *n);
  err (*attention)(ops *o, const ops_attention *a);
  err (*attention_gradient)(ops *o, const ops_attention *a);
  err (*attended)(ops *o, const ops_attended *a);
  err (*patches)(ops *o, const ops_patches *p);
  err (*assemble)(ops *o, const ops_assemble *a);
  err (*assemble_gradient)(ops *o, const ops_assemble *a);
  err (*embed)(ops *o, const ops_embed *e);
  err (*embed_gradient)(ops *o, const ops_embed *e);
  err (*pool)(ops *o, const ops_pool *p);
  err (*pool_gradient)(ops *o, const ops_pool *p);
  err (*dropout)(ops *o, const ops_dropout *d);
  err (*normalize)(ops *o, const ops_normalize *n);
  err (*normalize_gradient)(ops *o, const ops_normalize *n);
  err (*contrastive_statistics)(ops *o, const ops_contrastive *c);
  err (*contrastive_gradient)(ops *o, const ops_contrastive *c);
  err (*contrastive_finish)(ops *o, const ops_contrastive_end *c);
  err (*pixel_error)(ops *o, const ops_pixel_error *p);
  /* out [1] master = sum of squares of x [count] master, summed in double in a fixed order. */
  err (*sum_squares)(ops *o, int64_t count, ops_buffer x, ops_buffer out);
  /* The same in two steps, so that several can share it: out [count / OPS_SQUARE_BLOCK, rounded up]
   * master = sums of squares of that many elements each; out [1] master = sum of x [count]
   * master. */
  err (*sum_square_blocks)(ops *o, int64_t count, ops_buffer x, ops_buffer out);
  err (*sum)(ops *o, int64_t count, ops_buffer x, ops_buffer out);
  err (*adamw)(ops *o, const ops_adamw *a);
  /* average [count] master = momentum * average + (1 - momentum) * x [count] master. */
  err (*average)(ops *o, int64_t count, ops_buffer x, ops_buffer average, double momentum);
  /* x [count] master: every element = value. */
  err (*fill)(ops *o, int64_t count, ops_buffer x, double value);
  err (*cast)(ops *o, int64_t count, ops_buffer from, ops_buffer to);
  void (*destroy)(ops *o);
} ops_table;

enum { OPS_CPU_CHUNK_BYTES = 1 << 20 };

struct ops {
  const ops_table *call;
  ops_type compute, master;
  /* Activations of a chunk of samples should fit in this, a cache; 0: do not chunk. A backend that
   * chunks also gives the outputs of norms and activations again with their gradients, which read
   * the same inputs, so that they need not be kept: ops_layer_norm_gradient.y, ops_gemm.activated.
   */
  int64_t chunk_bytes; /* of the CPU backend OPS_CPU_CHUNK_BYTES */
  bool is_narrow;      /* dense layers are computed in 8 bits; compute is then bf16, and chunk_bytes
                        * 0, so that one factor is that of a whole operand */
  int threads;         /* of the CPU backend */
  char device[128];    /* the device's own name, "" for the CPU */
  char kernels[32];    /* variant of our own kernels (base/processor.h); "" if there is only one */
  char architecture[48]; /* "compute capability 9.0", which selects the GPU's kernels; "" for the
                          * CPU */
  const struct ops_plugin *plugin; /* that created it (device.h); NULL in tests' own backends */
  void *state;                     /* the backend's own */
};

static inline ops_usage ops_read_usage(ops *o) {
  ops_usage usage = {-1, -1, -1, -1, -1, -1};
  if (o->call->usage) o->call->usage(o, &usage);
  return usage;
}

void ops_destroy(ops *o);

#ifdef __cplusplus
}
#endif
#endif
