/* Renders scenes: background, clutter, objects, noise. Edges are antialiased by 3x3 samples. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "scenes/scene_cover.h"
#include "scenes/scenes.h"

enum { SAMPLES = 3 };

typedef struct {
  double c[3];
} rgb;

typedef struct {
  int32_t size;
  float *pixels; /* [size, size, 3], 0 to 255 */
  /* Along a side of the unit square: of the pixels [size], and of their samples [size][SAMPLES]. */
  double *centres, *samples;
  double slack; /* half a pixel's diagonal, and a little for rounding */
} canvas;

/* In the order of the names in scenes.c. */
static const rgb palette[SCENE_COLORS] = {
    {{222, 32, 38}},  {{250, 132, 10}},  {{248, 222, 32}},  {{28, 150, 50}},
    {{30, 80, 220}},  {{132, 40, 168}},  {{255, 140, 190}}, {{110, 62, 24}},
    {{14, 14, 16}},   {{250, 250, 250}}, {{128, 128, 130}}, {{40, 210, 225}},
    {{225, 30, 200}}, {{112, 118, 30}},  {{18, 24, 92}},    {{205, 164, 74}}};

static double between(rng *random, double low, double high) {
  return low + (high - low) * rng_double(random);
}

static rgb mix(rgb a, rgb b, double share) {
  for (int i = 0; i < 3; i++) a.c[i] += (b.c[i] - a.c[i]) * share;
  return a;
}

static rgb varied(rgb a, double by, rng *random) {
  for (int i = 0; i < 3; i++) a.c[i] += between(random, -by, by);
  return a;
}

typedef enum { TOUCH_NONE, TOUCH_PART, TOUCH_ALL } touch;

/* Something to paint: where it covers a point of the unit square, in its colour or the accent.
 * `touches` is a quick test that saves most of the work. TOUCH_NONE: nothing closer than `slack` to
 * (x, y) is covered; TOUCH_ALL: everything is, in `color`; TOUCH_PART: unknown. */
typedef struct brush {
  touch (*touches)(const struct brush *b, double x, double y, double slack);
  double x, y, reach; /* nothing is covered further than `reach` from (x, y) */
  double angle, opacity;
  double cosine, sine; /* of the angle: paint() fills them in */
  rgb color, accent;
  /* For pixels that are wholly covered in `color`: what is left of the old value, and what is
   * added. paint() fills them in. */
  double left;
  rgb added;
  scene_thing thing;
} brush;

static void to_frame(const brush *b, double x, double y, double *u, double *v) {
  *u = b->cosine * (x - b->x) + b->sine * (y - b->y);
  *v = b->cosine * (y - b->y) - b->sine * (x - b->x);
}

static touch touches_object(const brush *b, double x, double y, double slack) {
  const scene_bounds bounds = scene_shape_bounds(b->thing.shape);
  double u = x - b->x, v = y - b->y, square = u * u + v * v;
  double far = bounds.outer * b->thing.width + slack, near = bounds.inner * b->thing.width - slack;
  if (square > far * far) return TOUCH_NONE;
  return b->thing.texture == SCENE_PLAIN && near > 0 && square < near * near ? TOUCH_ALL
                                                                             : TOUCH_PART;
}

/* A step of length s changes the radius, in which the blob's edge is at 1, by s / height at most.
 */
static touch touches_blob(const brush *b, double x, double y, double slack) {
  const scene_thing *t = &b->thing;
  double u, v, step = slack / (t->width < t->height ? t->width : t->height);
  double far = 1 + step, near = 1 - step;
  to_frame(b, x, y, &u, &v);
  u /= t->width;
  v /= t->height;
  double square = u * u + v * v;
  if (square > far * far) return TOUCH_NONE;
  return near > 0 && square < near * near ? TOUCH_ALL : TOUCH_PART;
}

/* Along the line, 0.6 u² is no steeper than 1.2 times its half length. Lines are thinner than a
 * pixel: none is covered whole. */
static touch touches_line(const brush *b, double x, double y, double slack) {
  const scene_thing *t = &b->thing;
  double u, v;
  to_frame(b, x, y, &u, &v);
  if (fabs(u) > t->width + slack) return TOUCH_NONE;
  double far = t->height + slack * (1 + 1.2 * (t->width + 2 * slack));
  return fabs(v + 0.6 * u * u) > far ? TOUCH_NONE : TOUCH_PART;
}

/* Pixels that a brush may cover in part, which are painted together. */
enum { PARTS = SCENE_POINTS / (SAMPLES * SAMPLES), LANES = 8 };
typedef struct {
  int count;
  int stride; /* the count rounded up to whole vectors; sample k of pixel i is at [k * stride + i]
               */
  int32_t columns[PARTS], rows[PARTS];
} parts;

/* The samples in the frame of the brush (to_frame). */
static void lay_samples(const canvas *c, const brush *b, const parts *p, double u[SCENE_POINTS],
                        double v[SCENE_POINTS]) {
  double x[SAMPLES][2][PARTS], y[SAMPLES][2][PARTS]; /* times the cosine, times the sine */
  for (int k = 0; k < SAMPLES; k++)
    for (int i = 0; i < p->stride; i++) {
      double dx = c->samples[p->columns[i] * SAMPLES + k] - b->x,
             dy = c->samples[p->rows[i] * SAMPLES + k] - b->y;
      x[k][0][i] = b->cosine * dx, x[k][1][i] = b->sine * dx;
      y[k][0][i] = b->cosine * dy, y[k][1][i] = b->sine * dy;
    }
  for (int k = 0; k < SAMPLES * SAMPLES; k++)
    for (int i = 0; i < p->stride; i++) {
      u[k * p->stride + i] = x[k % SAMPLES][0][i] + y[k / SAMPLES][1][i];
      v[k * p->stride + i] = y[k / SAMPLES][0][i] - x[k % SAMPLES][1][i];
    }
}

/* Colours of the covered samples, added in the order of the samples. */
static void add_samples(const brush *b, int stride, const int64_t *covered, const int64_t *accent,
                        double sums[3][PARTS], double count[PARTS]) {
  for (int i = 0; i < stride; i++) count[i] = sums[0][i] = sums[1][i] = sums[2][i] = 0;
  for (int k = 0; k < SAMPLES * SAMPLES * stride; k += stride)
    for (int i = 0; i < stride; i++) count[i] += covered[k + i] ? 1.0 : 0.0;
  for (int c = 0; c < 3; c++) {
    const double color = b->color.c[c], other = b->accent.c[c];
    for (int k = 0; k < SAMPLES * SAMPLES * stride; k += stride)
      for (int i = 0; i < stride; i++) {
        double own = accent[k + i] ? other : color;
        sums[c][i] += covered[k + i] ? own : 0.0;
      }
  }
}

static void paint_parts(const canvas *c, const brush *b, parts *p) {
  double u[SCENE_POINTS], v[SCENE_POINTS], sums[3][PARTS], counts[PARTS];
  int64_t covered[SCENE_POINTS], accent[SCENE_POINTS];
  p->stride = (p->count + LANES - 1) / LANES * LANES;
  for (int i = p->count; i < p->stride; i++) p->columns[i] = p->columns[0], p->rows[i] = p->rows[0];
  lay_samples(c, b, p, u, v);
  PROCESSOR_KERNEL(scene, cover)(&b->thing, SAMPLES * SAMPLES * p->stride, u, v, covered, accent);
  add_samples(b, p->stride, covered, accent, sums, counts);
  for (int i = 0; i < p->count; i++) {
    if (counts[i] == 0) continue;
    double share = b->opacity * counts[i] / (SAMPLES * SAMPLES);
    float *pixel = c->pixels + ((int64_t)p->rows[i] * c->size + p->columns[i]) * 3;
    for (int k = 0; k < 3; k++)
      pixel[k] = (float)(pixel[k] * (1 - share) + sums[k][i] / counts[i] * share);
  }
  p->count = 0;
}

/* What paint_parts would give, to the bit. */
static void paint_whole(const canvas *c, const brush *b, int32_t column, int32_t row) {
  float *pixel = c->pixels + ((int64_t)row * c->size + column) * 3;
  for (int k = 0; k < 3; k++) pixel[k] = (float)(pixel[k] * b->left + b->added.c[k]);
}

static void paint_pixel(const canvas *c, const brush *b, int32_t column, int32_t row, parts *p) {
  switch (b->touches(b, c->centres[column], c->centres[row], c->slack)) {
  case TOUCH_NONE:
    return;
  case TOUCH_PART:
    p->columns[p->count] = column;
    p->rows[p->count++] = row;
    if (p->count == PARTS) paint_parts(c, b, p);
    return;
  case TOUCH_ALL:
    paint_whole(c, b, column, row);
  }
}

static int32_t clamped(double position, int32_t size) {
  return position < 0 ? 0 : position > size ? size : (int32_t)position;
}

/* The columns of a row that lie within reach. */
static void paint_row(const canvas *c, const brush *b, int32_t row, parts *p) {
  double far = b->reach + c->slack, away = c->centres[row] - b->y;
  double half = far * far - away * away;
  if (half < 0) return;
  half = sqrt(half);
  int32_t left = clamped((b->x - half) * c->size - 1, c->size);
  int32_t right = clamped((b->x + half) * c->size + 2, c->size);
  for (int32_t column = left; column < right; column++) paint_pixel(c, b, column, row, p);
}

/* The arithmetic of paint_parts when all samples have one colour. */
static void mix_whole(brush *b) {
  const int count = SAMPLES * SAMPLES;
  double share = b->opacity * count / count;
  b->left = 1 - share;
  b->added = (rgb){{0, 0, 0}};
  for (int k = 0; k < 3; k++) {
    for (int i = 0; i < count; i++) b->added.c[k] += b->color.c[k];
    b->added.c[k] = b->added.c[k] / count * share;
  }
}

static void paint(const canvas *c, brush *b) {
  b->cosine = cos(b->angle);
  b->sine = sin(b->angle);
  mix_whole(b);
  int32_t top = clamped((b->y - b->reach) * c->size, c->size);
  int32_t bottom = clamped((b->y + b->reach) * c->size + 1, c->size);
  parts p;
  p.count = 0;
  for (int32_t row = top; row < bottom; row++) paint_row(c, b, row, &p);
  paint_parts(c, b, &p);
}

/* Muted colours of medium brightness that contrast with every colour of the palette. */
static void paint_background(const canvas *c, double darkest, double lightest, rng *random) {
  double grey = between(random, darkest, lightest), angle = between(random, 0, 6.283185307179586);
  rgb from = varied((rgb){{grey, grey, grey}}, 18, random);
  rgb to = varied(from, 28, random);
  double dx = cos(angle), dy = sin(angle);
  for (int32_t row = 0; row < c->size; row++)
    for (int32_t column = 0; column < c->size; column++) {
      double x = c->centres[column] - 0.5, y = c->centres[row] - 0.5;
      rgb here = mix(from, to, 0.5 + 0.7 * (dx * x + dy * y));
      for (int k = 0; k < 3; k++)
        c->pixels[((int64_t)row * c->size + column) * 3 + k] = (float)here.c[k];
    }
}

/* A blob or a line in a colour that no object of the scene has. */
static void paint_clutter(const canvas *c, const scene_picture *p, rng *random) {
  int32_t color;
  bool is_taken;
  do {
    color = (int32_t)rng_below(random, (uint32_t)p->colors);
    is_taken = false;
    for (int32_t i = 0; i < p->count; i++) is_taken = is_taken || p->groups[i]->color == color;
  } while (is_taken);
  bool is_line = rng_below(random, 2);
  brush b = {.thing.kind = is_line ? SCENE_LINE : SCENE_BLOB,
             .touches = is_line ? touches_line : touches_blob,
             .x = between(random, 0, 1),
             .y = between(random, 0, 1),
             .angle = between(random, 0, 6.283185307179586),
             .opacity = between(random, 0.45, 0.85),
             .color = varied(palette[color], 20, random)};
  scene_thing *t = &b.thing;
  t->width = is_line ? between(random, 0.06, 0.22) : between(random, 0.03, 0.075);
  t->height = is_line ? between(random, 0.005, 0.011) : t->width * between(random, 0.3, 0.6);
  b.reach = 1.1 * t->width + 2 * t->height;
  paint(c, &b);
}

static void paint_group(const canvas *c, const scene_group *g, rng *random) {
  static const rgb dark = {{40, 40, 44}}, light = {{255, 255, 255}};
  rgb color = varied(palette[g->color], 12, random);
  double brightness = 0.3 * color.c[0] + 0.59 * color.c[1] + 0.11 * color.c[2];
  rgb accent = brightness > 140 ? mix(color, dark, 0.5) : mix(color, light, 0.6);
  for (int32_t i = 0; i < g->count; i++) {
    brush b = {.touches = touches_object,
               .x = g->spots[i].x,
               .y = g->spots[i].y,
               .reach = scene_shape_bounds(g->shape).outer * g->radius,
               .angle = g->spots[i].angle,
               .opacity = 1,
               .color = color,
               .accent = accent,
               .thing = {SCENE_OBJECT, g->shape, g->texture, g->radius, g->radius}};
    paint(c, &b);
  }
}

/* Rounds to bytes under triangular noise of up to `amount` either way. */
static void finish(const canvas *c, double amount, rng *random, uint8_t *pixels) {
  enum { PART = 256 };
  int64_t count = (int64_t)c->size * c->size * 3;
  for (int64_t at = 0; at < count; at += PART) {
    uint32_t bits[PART];
    int32_t bytes[PART];
    const float *restrict from = c->pixels + at;
    int64_t part = count - at < PART ? count - at : PART;
    rng_fill(random, bits, (size_t)part);
    for (int64_t i = 0; i < part; i++) {
      int32_t sum = (int32_t)((bits[i] & 0xffff) + (bits[i] >> 16));
      double value = from[i] + (sum / 65535.0 - 1) * amount;
      value = value <= 0 ? -0.5 : value;
      value = value >= 255 ? 255 : value;
      bytes[i] = (int32_t)(value + 0.5);
    }
    for (int64_t i = 0; i < part; i++) pixels[at + i] = (uint8_t)bytes[i];
  }
}

static err canvas_open(canvas *c, int32_t size) {
  size_t side = (size_t)size, count = side * side * 3;
  *c = (canvas){.size = size, .slack = 0.708 / size};
  c->pixels = mem_zeroed(count, sizeof *c->pixels);
  c->centres = mem_zeroed(side * (1 + SAMPLES), sizeof *c->centres);
  if (!c->pixels || !c->centres) {
    free(c->pixels);
    free(c->centres);
    return mem_error(count * sizeof *c->pixels, "a scene");
  }
  c->samples = c->centres + side;
  for (int32_t i = 0; i < size; i++) {
    c->centres[i] = (i + 0.5) / size;
    for (int32_t k = 0; k < SAMPLES; k++)
      c->samples[i * SAMPLES + k] = (i + (k + 0.5) / SAMPLES) / size;
  }
  return NULL;
}

err PROCESSOR_KERNEL(scene, paint)(const scene_picture *p, rng *random, int32_t size,
                                   uint8_t *pixels) {
  canvas c;
  err error = canvas_open(&c, size);
  if (error) return error;
  paint_background(&c, p->darkest, p->lightest, random);
  uint32_t clutter = 4 + rng_below(random, 7), over = rng_below(random, 3);
  for (uint32_t i = 0; i < clutter; i++) paint_clutter(&c, p, random);
  for (int32_t i = 0; i < p->count; i++) paint_group(&c, p->groups[i], random);
  for (uint32_t i = 0; i < over; i++) paint_clutter(&c, p, random);
  finish(&c, between(random, 8, 34), random, pixels);
  free(c.pixels);
  free(c.centres);
  return NULL;
}
