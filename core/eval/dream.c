#include "eval/dream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/finite.h"

enum { MOST_LEVELS = 16, COARSEST = 4 };

/* The two source samples, and their weights, that one sample of a resized row interpolates. */
typedef struct {
  int64_t low, high;
  float share; /* of `high` */
} tap;

/* `count` samples over [start, start + length) of a row of `limit` samples, pixel centres at
 * halves. */
static void fill_taps(double start, double length, int64_t limit, int64_t count, tap *taps) {
  for (int64_t i = 0; i < count; i++) {
    double at = start + ((double)i + 0.5) * length / (double)count - 0.5;
    at = at < 0 ? 0 : at > (double)(limit - 1) ? (double)(limit - 1) : at;
    int64_t low = (int64_t)at;
    taps[i] = (tap){low, low + 1 < limit ? low + 1 : low, (float)(at - (double)low)};
  }
}

/* to [count, count, 3] (+)= from [side, side, 3] at the taps, bilinear. */
static void sample(const float *from, int64_t side, const tap *x, const tap *y, int64_t count,
                   bool adds, float *to) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j < count; j++)
      for (int64_t c = 0; c < 3; c++) {
        const float *top = from + y[i].low * side * 3 + c,
                    *bottom = from + y[i].high * side * 3 + c;
        float above = top[x[j].low * 3] * (1 - x[j].share) + top[x[j].high * 3] * x[j].share;
        float below = bottom[x[j].low * 3] * (1 - x[j].share) + bottom[x[j].high * 3] * x[j].share;
        float value = above * (1 - y[i].share) + below * y[i].share;
        float *at = to + (i * count + j) * 3 + c;
        *at = (adds ? *at : 0) + value;
      }
}

/* The transpose of sample: from [side, side, 3] += what `to` [count, count, 3] took from it. */
static void scatter(const float *to, const tap *x, const tap *y, int64_t count, int64_t side,
                    float *from) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = 0; j < count; j++)
      for (int64_t c = 0; c < 3; c++) {
        float value = to[(i * count + j) * 3 + c];
        float above = value * (1 - y[i].share), below = value * y[i].share;
        float *top = from + y[i].low * side * 3 + c, *bottom = from + y[i].high * side * 3 + c;
        top[x[j].low * 3] += above * (1 - x[j].share);
        top[x[j].high * 3] += above * x[j].share;
        bottom[x[j].low * 3] += below * (1 - x[j].share);
        bottom[x[j].high * 3] += below * x[j].share;
      }
}

/* The canvas and its optimiser. */
typedef struct {
  const dream_options *o;
  int64_t model_size, levels, parameters;
  int64_t sides[MOST_LEVELS], starts[MOST_LEVELS]; /* of the grids in `values` */
  float *values, *gradient, *m, *v;                /* [parameters] */
  float *canvas, *dcanvas;                         /* [size, size, 3]: in [0, 1]; its gradient */
  float *view, *dviews;                            /* one view; all views' gradients */
  uint8_t *bytes;                                  /* all views, as the model takes them */
  tap *taps;                                       /* [2, larger side] */
} painting;

/* The random view of one step. */
typedef struct {
  double left, top, length;
  float gain, shift;
  bool is_flipped;
} look;

static look draw_look(const painting *p, int64_t step, int64_t view) {
  rng r = rng_at(p->o->seed, RNG_CROP, (uint64_t)step, (uint64_t)view);
  double side = (double)p->o->size, length = side * sqrt(0.5 + 0.5 * rng_double(&r));
  look l = {.length = length};
  l.left = (side - length) * rng_double(&r);
  l.top = (side - length) * rng_double(&r);
  l.gain = 0.8f + 0.4f * rng_float(&r);
  l.shift = 0.2f * rng_float(&r) - 0.1f;
  l.is_flipped = rng_u32(&r) & 1;
  return l;
}

static void aim(painting *p, const look *l) {
  tap *x = p->taps, *y = p->taps + p->model_size;
  fill_taps(l->left, l->length, p->o->size, p->model_size, x);
  fill_taps(l->top, l->length, p->o->size, p->model_size, y);
  for (int64_t i = 0; l->is_flipped && i < p->model_size / 2; i++) {
    tap swapped = x[i];
    x[i] = x[p->model_size - 1 - i];
    x[p->model_size - 1 - i] = swapped;
  }
}

static uint8_t byte_of(float value) {
  return (uint8_t)(value <= 0 ? 0 : value >= 1 ? 255 : value * 255 + 0.5f);
}

/* The canvas transformed by `l`, in bytes. */
static void take_view(painting *p, const look *l, uint8_t *bytes) {
  int64_t count = p->model_size * p->model_size * 3;
  aim(p, l);
  sample(p->canvas, p->o->size, p->taps, p->taps + p->model_size, p->model_size, false, p->view);
  for (int64_t i = 0; i < count; i++)
    bytes[i] = byte_of((p->view[i] - 0.5f) * l->gain + 0.5f + l->shift);
}

/* canvas = sigmoid(sum of the grids). */
static void draw_canvas(painting *p) {
  int64_t size = p->o->size;
  memset(p->canvas, 0, (size_t)(size * size * 3) * sizeof(float));
  for (int64_t l = 0; l < p->levels; l++) {
    fill_taps(0, (double)p->sides[l], p->sides[l], size, p->taps);
    sample(p->values + p->starts[l], p->sides[l], p->taps, p->taps, size, true, p->canvas);
  }
  for (int64_t i = 0; i < size * size * 3; i++) p->canvas[i] = 1 / (1 + expf(-p->canvas[i]));
}

/* dcanvas -= the gradient of smoothness * mean over neighbours of their squared difference. */
static void add_smoothness(painting *p) {
  int64_t size = p->o->size, row = size * 3;
  float weight = 2 * (float)(p->o->smoothness / (double)(size * size));
  for (int64_t y = 0; y < size; y++)
    for (int64_t i = 0; i < row; i++) {
      const float *at = p->canvas + y * row + i;
      float *to = p->dcanvas + y * row + i;
      if (i + 3 < row) {
        float difference = weight * (at[0] - at[3]);
        to[0] -= difference;
        to[3] += difference;
      }
      if (y + 1 < size) {
        float difference = weight * (at[0] - at[row]);
        to[0] -= difference;
        to[row] += difference;
      }
    }
}

/* gradient [parameters] from dcanvas. */
static void gather_gradient(painting *p) {
  int64_t size = p->o->size;
  for (int64_t i = 0; i < size * size * 3; i++) p->dcanvas[i] *= p->canvas[i] * (1 - p->canvas[i]);
  memset(p->gradient, 0, (size_t)p->parameters * sizeof(float));
  for (int64_t l = 0; l < p->levels; l++) {
    fill_taps(0, (double)p->sides[l], p->sides[l], size, p->taps);
    scatter(p->dcanvas, p->taps, p->taps, size, p->sides[l], p->gradient + p->starts[l]);
  }
}

/* Adam, uphill. */
static err move(painting *p, int64_t step) {
  const float b1 = 0.9f, b2 = 0.99f;
  float c1 = 1 - powf(b1, (float)step), c2 = 1 - powf(b2, (float)step), sum = 0;
  for (int64_t i = 0; i < p->parameters; i++) {
    float g = p->gradient[i];
    p->m[i] = b1 * p->m[i] + (1 - b1) * g;
    p->v[i] = b2 * p->v[i] + (1 - b2) * g * g;
    p->values[i] += (float)p->o->rate * (p->m[i] / c1) / (sqrtf(p->v[i] / c2) + 1e-12f);
    sum += 0 * p->values[i];
  }
  if (isfinite(sum)) return NULL;
  return err_new(
      ERR_NUMERIC,
      "step %ld: the image is not finite any more: try a lower --rate (%g) or --smoothness (%g)",
      (long)step, p->o->rate, p->o->smoothness);
}

static err take_step(painting *p, clip_model *model, const float *text, int64_t step,
                     double *score) {
  int64_t one = p->model_size * p->model_size * 3, size = p->o->size;
  draw_canvas(p);
  for (int64_t i = 0; i < p->o->views; i++) {
    look l = draw_look(p, step, i);
    take_view(p, &l, p->bytes + i * one);
  }
  err error = clip_pixel_gradient(model, p->o->views, p->bytes, text, score, p->dviews);
  if (error) return error;
  memset(p->dcanvas, 0, (size_t)(size * size * 3) * sizeof(float));
  for (int64_t i = 0; i < p->o->views; i++) {
    look l = draw_look(p, step, i);
    float *d = p->dviews + i * one;
    /* a clipped byte has no gradient */
    for (int64_t j = 0; j < one; j++)
      d[j] = p->bytes[i * one + j] == 0 || p->bytes[i * one + j] == 255 ? 0 : d[j] * l.gain;
    aim(p, &l);
    scatter(d, p->taps, p->taps + p->model_size, p->model_size, size, p->dcanvas);
  }
  add_smoothness(p);
  gather_gradient(p);
  return move(p, step);
}

/* The score of the whole canvas, untransformed. */
static err judge(painting *p, clip_model *model, const float *text, double *score) {
  const look whole = {.length = (double)p->o->size, .gain = 1};
  int64_t embed = clip_get_config(model)->image.embed;
  float *own = mem_zeroed((size_t)embed, sizeof *own);
  if (!own) return mem_error((size_t)embed * sizeof *own, "an embedding");
  draw_canvas(p);
  take_view(p, &whole, p->bytes);
  err error = clip_embed_images(model, 1, p->bytes, NULL, own);
  if (!error) error = finite_check("the canvas", "images", own, 1, embed, NULL);
  *score = 0;
  for (int64_t i = 0; i < embed; i++) *score += (double)own[i] * (double)text[i];
  free(own);
  return error;
}

static err prepare(painting *p) {
  int64_t size = p->o->size, one = p->model_size * p->model_size * 3;
  for (int64_t side = COARSEST; p->levels < MOST_LEVELS; side *= 2) {
    p->sides[p->levels] = side < size ? side : size;
    p->starts[p->levels] = p->parameters;
    p->parameters += 3 * p->sides[p->levels] * p->sides[p->levels];
    p->levels++;
    if (side >= size) break;
  }
  size_t count = (size_t)p->parameters, pixels = (size_t)(size * size * 3);
  p->values = mem_zeroed(4 * count, sizeof(float));
  p->canvas = mem_zeroed(2 * pixels, sizeof(float));
  p->view = mem_zeroed((size_t)(one * (1 + p->o->views)), sizeof(float));
  p->bytes = mem_zeroed((size_t)(one * p->o->views), 1);
  p->taps = mem_zeroed(2 * (size_t)(size > p->model_size ? size : p->model_size), sizeof(tap));
  if (!p->values || !p->canvas || !p->view || !p->bytes || !p->taps)
    return mem_error(4 * count * sizeof(float), "a canvas");
  p->gradient = p->values + count;
  p->m = p->gradient + count;
  p->v = p->m + count;
  p->dcanvas = p->canvas + pixels;
  p->dviews = p->view + one;
  for (size_t i = 0; i < count; i++) {
    rng r = rng_at(p->o->seed, RNG_INIT, 0, i);
    p->values[i] = (float)(0.1 * rng_normal(&r));
  }
  return NULL;
}

err dream_paint(clip_model *model, const float *text, const dream_options *o, dream_watch watch,
                void *context, uint8_t *pixels, dream_result *result) {
  painting p = {.o = o, .model_size = clip_get_config(model)->image_size};
  double score;
  err error = NULL;
  TRY(prepare(&p));
  TRY(judge(&p, model, text, &result->first));
  for (int64_t step = 1; step <= o->steps; step++) {
    TRY(take_step(&p, model, text, step, &score));
    if (watch) watch(context, step, score);
  }
  TRY(judge(&p, model, text, &result->last));
  for (int64_t i = 0; i < o->size * o->size * 3; i++) pixels[i] = byte_of(p.canvas[i]);
cleanup:
  free(p.values);
  free(p.canvas);
  free(p.view);
  free(p.bytes);
  free(p.taps);
  return error;
}
