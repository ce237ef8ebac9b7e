#include "support/ops_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/ops_reference_loss.h"

double reference_get(ops_buffer b, int64_t i) {
  uint32_t bits;
  float narrow;
  switch (b.type) {
  case OPS_F64:
    return ((double *)b.data)[i];
  case OPS_F32:
    return (double)((float *)b.data)[i];
  case OPS_BF16:
    bits = (uint32_t)((uint16_t *)b.data)[i] << 16;
    memcpy(&narrow, &bits, 4);
    return (double)narrow;
  case OPS_I32:
    return (double)((int32_t *)b.data)[i];
  case OPS_U8:
    return (double)((uint8_t *)b.data)[i];
  }
  return NAN;
}

void reference_set(ops_buffer b, int64_t i, double value) {
  float narrow = (float)value;
  uint32_t bits;
  switch (b.type) {
  case OPS_F64:
    ((double *)b.data)[i] = value;
    break;
  case OPS_F32:
    ((float *)b.data)[i] = narrow;
    break;
  case OPS_BF16:
    memcpy(&bits, &narrow, 4);
    ((uint16_t *)b.data)[i] = (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
    break;
  case OPS_I32:
    ((int32_t *)b.data)[i] = (int32_t)value;
    break;
  case OPS_U8:
    ((uint8_t *)b.data)[i] = (uint8_t)value;
    break;
  }
}

void reference_add(ops_buffer b, int64_t i, double value) {
  reference_set(b, i, reference_get(b, i) + value);
}

#define GET reference_get
#define SET reference_set
#define ADD reference_add

static err allocate(ops *o, size_t bytes, const char *what, void **block) {
  (void)o;
  *block = mem_aligned(bytes);
  if (*block)
    memset(*block, 0xFF, bytes); /* NaNs: an element that is read before it is written shows */
  return *block ? NULL : mem_error(bytes, what);
}

static void release(ops *o, void *block) {
  (void)o;
  free(block);
}

static err copy(ops *o, void *to, const void *from, size_t bytes) {
  (void)o;
  memcpy(to, from, bytes);
  return NULL;
}

static err clear(ops *o, void *block, size_t bytes) {
  (void)o;
  memset(block, 0, bytes);
  return NULL;
}

static err synchronize(ops *o) {
  (void)o;
  return NULL;
}

static bool is_idle(ops *o) {
  (void)o;
  return true;
}

static double act(ops_activation a, double x) {
  switch (a) {
  case OPS_GELU_TANH:
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  case OPS_GELU_ERF:
    return 0.5 * x * (1 + erf(x / sqrt(2)));
  case OPS_QUICK_GELU:
    return x / (1 + exp(-1.702 * x));
  }
  return NAN;
}

static double act_slope(ops_activation a, double x) {
  double inner, t, s;
  switch (a) {
  case OPS_GELU_TANH:
    inner = sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    t = tanh(inner);
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x);
  case OPS_GELU_ERF:
    return 0.5 * (1 + erf(x / sqrt(2))) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
  case OPS_QUICK_GELU:
    s = 1 / (1 + exp(-1.702 * x));
    return s + 1.702 * x * s * (1 - s);
  }
  return NAN;
}

static err gemm(ops *o, const ops_gemm *g) {
  (void)o;
  for (int64_t i = 0; i < g->m; i++) {
    double row_sum = 0;
    for (int64_t k = 0; k < g->k; k++)
      row_sum += GET(g->a, g->transpose_a ? k * g->m + i : i * g->k + k);
    if (g->a_sums.data) ADD(g->a_sums, i, row_sum);
    for (int64_t j = 0; j < g->n; j++) {
      double sum = g->bias.data ? GET(g->bias, j) : 0;
      for (int64_t k = 0; k < g->k; k++)
        sum += GET(g->a, g->transpose_a ? k * g->m + i : i * g->k + k) *
               GET(g->b, g->transpose_b ? j * g->k + k : k * g->n + j);
      int64_t at = i * g->n + j;
      if (g->epilogue == OPS_EPILOGUE_ACTIVATION) {
        SET(g->pre, at, sum);
        sum = act(g->activation, GET(g->pre, at));
      } else if (g->epilogue == OPS_EPILOGUE_ACTIVATION_GRADIENT) {
        sum *= act_slope(g->activation, GET(g->pre, at));
        if (g->activated.data) SET(g->activated, at, act(g->activation, GET(g->pre, at)));
      }
      SET(g->c, at, g->accumulate ? GET(g->c, at) + sum : sum);
      if (g->c_sums.data) ADD(g->c_sums, j, GET(g->c, at));
    }
  }
  return NULL;
}

static err activate(ops *o, const ops_activate *a) {
  (void)o;
  for (int64_t i = 0; i < a->count; i++) SET(a->c, i, act(a->activation, GET(a->pre, i)));
  return NULL;
}

static err layer_norm(ops *o, const ops_layer_norm *n) {
  (void)o;
  for (int64_t row = 0; row < n->rows; row++) {
    int64_t at = row * n->width;
    ops_buffer x = n->x;
    if (n->residual.data) {
      for (int64_t i = 0; i < n->width; i++)
        SET(n->sum, at + i, GET(n->x, at + i) + GET(n->residual, at + i));
      x = n->sum;
    }
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n->width; i++) mean += GET(x, at + i) / (double)n->width;
    for (int64_t i = 0; i < n->width; i++)
      variance += pow(GET(x, at + i) - mean, 2) / (double)n->width;
    double rstd = 1 / sqrt(variance + n->eps);
    for (int64_t i = 0; i < n->width; i++)
      SET(n->y, at + i, (GET(x, at + i) - mean) * rstd * GET(n->gamma, i) + GET(n->beta, i));
    SET(n->mean, row, mean);
    SET(n->rstd, row, rstd);
  }
  return NULL;
}

static err layer_norm_gradient(ops *o, const ops_layer_norm_gradient *n) {
  (void)o;
  for (int64_t row = 0; row < n->rows; row++) {
    int64_t at = row * n->width;
    double mean = GET(n->mean, row), rstd = GET(n->rstd, row), sum = 0, product = 0;
    for (int64_t i = 0; i < n->width; i++) {
      double normed = (GET(n->x, at + i) - mean) * rstd, dy = GET(n->dy, at + i);
      sum += dy * GET(n->gamma, i) / (double)n->width;
      product += dy * GET(n->gamma, i) * normed / (double)n->width;
      ADD(n->dgamma, i, dy * normed);
      ADD(n->dbeta, i, dy);
    }
    for (int64_t i = 0; i < n->width; i++) {
      double normed = (GET(n->x, at + i) - mean) * rstd;
      double dx = rstd * (GET(n->dy, at + i) * GET(n->gamma, i) - sum - normed * product);
      SET(n->dx, at + i, dx + (n->dresidual.data ? GET(n->dresidual, at + i) : 0));
      if (n->dx_sums.data) ADD(n->dx_sums, i, GET(n->dx, at + i));
      if (n->y.data) SET(n->y, at + i, normed * GET(n->gamma, i) + GET(n->beta, i));
    }
  }
  return NULL;
}

/* q, k or v (part 0, 1, 2) of one token. */
static double part(const ops_attention *a, int64_t image, int64_t token, int64_t which,
                   int64_t head, int64_t i) {
  return GET(a->qkv,
             (((image * a->tokens + token) * 3 + which) * a->heads + head) * a->head_width + i);
}

static int64_t keys_of(const ops_attention *a, int64_t image, int64_t query) {
  int64_t count = a->key_counts.data ? (int64_t)GET(a->key_counts, image) : a->tokens;
  if (count > a->tokens) count = a->tokens;
  return a->is_causal && query + 1 < count ? query + 1 : count;
}

static double score(const ops_attention *a, int64_t image, int64_t head, int64_t i, int64_t j) {
  double sum = 0;
  for (int64_t d = 0; d < a->head_width; d++)
    sum += part(a, image, i, 0, head, d) * part(a, image, j, 1, head, d);
  return sum / sqrt((double)a->head_width);
}

static err attention(ops *o, const ops_attention *a) {
  (void)o;
  double *scores = malloc((size_t)a->tokens * sizeof *scores);
  if (!scores) abort();
  for (int64_t image = 0; image < a->batch; image++)
    for (int64_t head = 0; head < a->heads; head++)
      for (int64_t i = 0; i < a->tokens; i++) {
        int64_t keys = keys_of(a, image, i);
        double most = -INFINITY, sum = 0;
        for (int64_t j = 0; j < keys; j++) {
          scores[j] = score(a, image, head, i, j);
          most = fmax(most, scores[j]);
        }
        for (int64_t j = 0; j < keys; j++) sum += exp(scores[j] - most);
        double lse = most + log(sum);
        SET(a->lse, (image * a->heads + head) * a->tokens + i, lse);
        for (int64_t d = 0; d < a->head_width; d++) {
          double value = 0;
          for (int64_t j = 0; j < keys; j++)
            value += exp(scores[j] - lse) * part(a, image, j, 2, head, d);
          SET(a->out, ((image * a->tokens + i) * a->heads + head) * a->head_width + d, value);
        }
      }
  free(scores);
  return NULL;
}

static err attended(ops *o, const ops_attended *a) {
  (void)o;
  const ops_attention shape = {
      .tokens = a->tokens, .heads = a->heads, .head_width = a->head_width, .qkv = a->qkv};
  int64_t keys = a->tokens - a->first;
  for (int64_t image = 0; image < a->batch; image++)
    for (int64_t head = 0; head < a->heads; head++)
      for (int64_t i = 0; i < a->queries; i++) {
        double sum = 0;
        for (int64_t j = 0; j < a->tokens; j++) sum += exp(score(&shape, image, head, i, j));
        for (int64_t j = 0; j < keys; j++)
          ADD(a->scores, image * keys + j,
              a->weight * exp(score(&shape, image, head, i, a->first + j)) / sum);
      }
  return NULL;
}

static err attention_gradient(ops *o, const ops_attention *a) {
  (void)o;
  int64_t w = a->head_width;
  for (int64_t i = 0; i < a->batch * a->tokens * 3 * a->heads * w; i++) SET(a->dqkv, i, 0);
  for (int64_t image = 0; image < a->batch; image++)
    for (int64_t head = 0; head < a->heads; head++)
      for (int64_t i = 0; i < a->tokens; i++) {
        int64_t out_at = ((image * a->tokens + i) * a->heads + head) * w;
        double lse = GET(a->lse, (image * a->heads + head) * a->tokens + i), product = 0;
        for (int64_t d = 0; d < w; d++)
          product += GET(a->dout, out_at + d) * GET(a->out, out_at + d);
        for (int64_t j = 0; j < keys_of(a, image, i); j++) {
          double p = exp(score(a, image, head, i, j) - lse), dp = 0;
          for (int64_t d = 0; d < w; d++)
            dp += GET(a->dout, out_at + d) * part(a, image, j, 2, head, d);
          double ds = p * (dp - product) / sqrt((double)w);
          for (int64_t d = 0; d < w; d++) {
            int64_t q = (((image * a->tokens + i) * 3) * a->heads + head) * w + d;
            int64_t k = (((image * a->tokens + j) * 3 + 1) * a->heads + head) * w + d;
            int64_t v = (((image * a->tokens + j) * 3 + 2) * a->heads + head) * w + d;
            ADD(a->dqkv, q, ds * part(a, image, j, 1, head, d));
            ADD(a->dqkv, k, ds * part(a, image, i, 0, head, d));
            ADD(a->dqkv, v, p * GET(a->dout, out_at + d));
          }
        }
      }
  int64_t columns = 3 * a->heads * w;
  for (int64_t i = 0; a->dqkv_sums.data && i < a->batch * a->tokens * columns; i++)
    ADD(a->dqkv_sums, i % columns, GET(a->dqkv, i));
  return NULL;
}

static err patches(ops *o, const ops_patches *p) {
  (void)o;
  int64_t side = p->size / p->patch, length = 3 * p->patch * p->patch;
  for (int64_t i = 0; i < p->batch * p->keep; i++) {
    int64_t which = (int64_t)GET(p->index, i), image = i / p->keep;
    for (int64_t c = 0; c < 3; c++)
      for (int64_t y = 0; y < p->patch; y++)
        for (int64_t x = 0; x < p->patch; x++) {
          int64_t row = which / side * p->patch + y, column = which % side * p->patch + x;
          int64_t to = i * length + (c * p->patch + y) * p->patch + x;
          double value = 0;
          if (which >= 0)
            value = (GET(p->images, ((image * p->size + row) * p->size + column) * 3 + c) / 255 -
                     (double)p->mean[c]) /
                    (double)p->deviation[c];
          SET(p->patches, to, value);
        }
  }
  return NULL;
}

/* The position row of token `token` of an image; and which embedded patch it is. */
static int64_t position_row(const ops_assemble *a, int64_t image, int64_t kept) {
  int64_t which = (int64_t)GET(a->index, image * a->keep + kept);
  return (which < 0 ? ~which : which) + a->class_has_position;
}

static err assemble(ops *o, const ops_assemble *a) {
  (void)o;
  int64_t has_class = a->class_token.data != NULL, tokens = a->keep + has_class, w = a->width;
  for (int64_t image = 0; image < a->batch; image++)
    for (int64_t t = 0; t < tokens; t++)
      for (int64_t j = 0; j < w; j++) {
        double value;
        if (has_class && t == 0)
          value = GET(a->class_token, j) + (a->class_has_position ? GET(a->positions, j) : 0);
        else
          value = GET(a->patches, (image * a->keep + t - has_class) * w + j) +
                  GET(a->positions, position_row(a, image, t - has_class) * w + j);
        SET(a->tokens, (image * tokens + t) * w + j, value);
      }
  return NULL;
}

static err assemble_gradient(ops *o, const ops_assemble *a) {
  (void)o;
  int64_t has_class = a->class_token.data != NULL, tokens = a->keep + has_class, w = a->width;
  for (int64_t image = 0; image < a->batch; image++)
    for (int64_t t = 0; t < tokens; t++)
      for (int64_t j = 0; j < w; j++) {
        double d = GET(a->dtokens, (image * tokens + t) * w + j);
        if (has_class && t == 0) {
          if (a->dclass_token.data) ADD(a->dclass_token, j, d);
          if (a->dpositions.data && a->class_has_position) ADD(a->dpositions, j, d);
        } else {
          SET(a->dpatches, (image * a->keep + t - has_class) * w + j, d);
          if (a->dpositions.data)
            ADD(a->dpositions, position_row(a, image, t - has_class) * w + j, d);
        }
      }
  return NULL;
}

static int64_t text_place(const ops_embed *e, int64_t i) {
  return e->places.data ? (int64_t)GET(e->places, i) : i % e->length;
}

static err embed(ops *o, const ops_embed *e) {
  (void)o;
  for (int64_t i = 0; i < e->batch * e->length; i++)
    for (int64_t j = 0; j < e->width; j++)
      SET(e->tokens, i * e->width + j,
          GET(e->table, (int64_t)GET(e->ids, i) * e->width + j) +
              GET(e->positions, text_place(e, i) * e->width + j));
  return NULL;
}

static err embed_gradient(ops *o, const ops_embed *e) {
  (void)o;
  for (int64_t i = 0; i < e->batch * e->length; i++)
    for (int64_t j = 0; j < e->width; j++) {
      double d = GET(e->dtokens, i * e->width + j);
      ADD(e->dtable, (int64_t)GET(e->ids, i) * e->width + j, d);
      if (e->dpositions.data) ADD(e->dpositions, text_place(e, i) * e->width + j, d);
    }
  return NULL;
}

static int64_t pooled_token(const ops_pool *p, int64_t image) {
  return p->index.data ? (int64_t)GET(p->index, image) : 0;
}

static err pool(ops *o, const ops_pool *p) {
  (void)o;
  for (int64_t image = 0; image < p->batch; image++)
    for (int64_t j = 0; j < p->width; j++) {
      double value = 0;
      for (int64_t t = 0; t < p->tokens; t++) {
        double x = GET(p->x, (image * p->tokens + t) * p->width + j);
        if (p->pooling == OPS_POOL_MEAN)
          value += x / (double)p->tokens;
        else if (t == pooled_token(p, image))
          value = x;
      }
      SET(p->pooled, image * p->width + j, value);
    }
  return NULL;
}

static err pool_gradient(ops *o, const ops_pool *p) {
  (void)o;
  for (int64_t image = 0; image < p->batch; image++)
    for (int64_t t = 0; t < p->tokens; t++)
      for (int64_t j = 0; j < p->width; j++) {
        double d = GET(p->dpooled, image * p->width + j);
        double share = p->pooling == OPS_POOL_MEAN ? 1.0 / (double)p->tokens
                                                   : (double)(t == pooled_token(p, image));
        SET(p->dx, (image * p->tokens + t) * p->width + j, d * share);
      }
  return NULL;
}

static err normalize(ops *o, const ops_normalize *n) {
  (void)o;
  for (int64_t row = 0; row < n->rows; row++) {
    double square = 0;
    for (int64_t j = 0; j < n->width; j++) square += pow(GET(n->x, row * n->width + j), 2);
    double norm = sqrt(square);
    for (int64_t j = 0; j < n->width; j++)
      SET(n->y, row * n->width + j, GET(n->x, row * n->width + j) / (norm + n->eps));
    SET(n->norms, row, norm);
  }
  return NULL;
}

static err normalize_gradient(ops *o, const ops_normalize *n) {
  (void)o;
  for (int64_t row = 0; row < n->rows; row++) {
    double norm = GET(n->norms, row), size = norm + n->eps, product = 0;
    for (int64_t j = 0; j < n->width; j++)
      product += GET(n->x, row * n->width + j) * GET(n->dy, row * n->width + j);
    for (int64_t j = 0; j < n->width; j++)
      SET(n->dx, row * n->width + j,
          GET(n->dy, row * n->width + j) / size -
              GET(n->x, row * n->width + j) * product / (norm * size * size));
  }
  return NULL;
}

static err dropout(ops *o, const ops_dropout *d) {
  (void)o;
  for (int64_t i = 0; i < d->samples; i++) {
    rng r = {0};
    if (d->rate > 0)
      r = rng_at(d->seed, RNG_DROPOUT, d->site,
                 (uint64_t)(uint32_t)GET(d->numbers, 2 * i) +
                     ((uint64_t)(uint32_t)GET(d->numbers, 2 * i + 1) << 32));
    double draw = 0;
    for (int64_t e = 0; e < d->elements; e++) {
      int64_t at = i * d->elements + e;
      double x = GET(d->x, at);
      if (d->rate > 0 && (e == 0 || !d->is_whole)) draw = (double)rng_u32(&r);
      if (d->rate > 0) x = draw < floor(d->rate * 0x1p32) ? 0 : x / (1 - d->rate);
      SET(d->y, at, x + (d->residual.data ? GET(d->residual, at) : 0));
    }
  }
  return NULL;
}

static err sum_squares(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  (void)o;
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += GET(x, i) * GET(x, i);
  SET(out, 0, sum);
  return NULL;
}

static err sum_square_blocks(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  for (int64_t i = 0; i < count; i += OPS_SQUARE_BLOCK) {
    int64_t left = count - i;
    err error = sum_squares(o, left < OPS_SQUARE_BLOCK ? left : OPS_SQUARE_BLOCK, ops_at(x, i),
                            ops_at(out, i / OPS_SQUARE_BLOCK));
    if (error) return error;
  }
  return NULL;
}

static err sum(ops *o, int64_t count, ops_buffer x, ops_buffer out) {
  (void)o;
  double total = 0;
  for (int64_t i = 0; i < count; i++) total += GET(x, i);
  SET(out, 0, total);
  return NULL;
}

static err adamw(ops *o, const ops_adamw *a) {
  (void)o;
  double norm = sqrt(GET(a->norm_square, 0)), rate = GET(a->rates, 0);
  double scale = a->clip_norm > 0 && norm > a->clip_norm ? a->clip_norm / norm : 1;
  for (int64_t i = 0; i < a->count; i++) {
    double g = GET(a->gradients, i) * scale, p = GET(a->parameters, i);
    SET(a->m, i, a->beta1 * GET(a->m, i) + (1 - a->beta1) * g);
    SET(a->v, i, a->beta2 * GET(a->v, i) + (1 - a->beta2) * g * g);
    double m = GET(a->m, i) * GET(a->rates, 1), v = GET(a->v, i) * GET(a->rates, 2);
    p -= rate * (m / (sqrt(v) + a->eps) + (i < a->decayed ? a->weight_decay * p : 0));
    SET(a->parameters, i, p);
    if (a->copy.data) SET(a->copy, i, p);
  }
  return NULL;
}

static err average(ops *o, int64_t count, ops_buffer x, ops_buffer to, double momentum) {
  (void)o;
  for (int64_t i = 0; i < count; i++)
    SET(to, i, momentum * GET(to, i) + (1 - momentum) * GET(x, i));
  return NULL;
}

static err fill(ops *o, int64_t count, ops_buffer x, double value) {
  (void)o;
  for (int64_t i = 0; i < count; i++) SET(x, i, value);
  return NULL;
}

static err cast(ops *o, int64_t count, ops_buffer from, ops_buffer to) {
  (void)o;
  for (int64_t i = 0; i < count; i++) SET(to, i, GET(from, i));
  return NULL;
}

static void destroy(ops *o) {
  free(o);
}

static const ops_table reference_table = {
    .name = "reference",
    .sums = OPS_SUMS_ATTENTION | OPS_SUMS_NORM | OPS_SUMS_ACTIVATION,
    .allocate = allocate,
    .release = release,
    .upload = copy,
    .download = copy,
    .clear = clear,
    .synchronize = synchronize,
    .upload_ahead = copy,
    .join = synchronize,
    .is_idle = is_idle,
    .gemm = gemm,
    .activate = activate,
    .layer_norm = layer_norm,
    .layer_norm_gradient = layer_norm_gradient,
    .attention = attention,
    .attention_gradient = attention_gradient,
    .attended = attended,
    .patches = patches,
    .assemble = assemble,
    .assemble_gradient = assemble_gradient,
    .embed = embed,
    .embed_gradient = embed_gradient,
    .pool = pool,
    .pool_gradient = pool_gradient,
    .dropout = dropout,
    .normalize = normalize,
    .normalize_gradient = normalize_gradient,
    .contrastive_statistics = reference_contrastive_statistics,
    .contrastive_gradient = reference_contrastive_gradient,
    .contrastive_finish = reference_contrastive_finish,
    .pixel_error = reference_pixel_error,
    .sum_squares = sum_squares,
    .sum_square_blocks = sum_square_blocks,
    .sum = sum,
    .adamw = adamw,
    .average = average,
    .fill = fill,
    .cast = cast,
    .destroy = destroy};

err ops_create_reference(ops **out) {
  ops *o = mem_zeroed(1, sizeof *o);
  if (!o) return mem_error(sizeof *o, "the reference backend");
  *o = (ops){.call = &reference_table,
             .compute = OPS_F64,
             .master = OPS_F64,
             .chunk_bytes = 2000,
             .threads = 1};
  *out = o;
  return NULL;
}
