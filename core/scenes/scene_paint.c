/* Renders scenes: background, clutter, objects, noise. Edges are antialiased by 3x3 samples. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "scenes/scene_plan.h"
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

/* Something to paint: gives a colour where it covers a point of the unit square. `touches` is a
 * quick test that saves most of the work. TOUCH_NONE: nothing closer than `slack` to (x, y) is
 * covered; TOUCH_ALL: everything is, in `color`; TOUCH_PART: unknown. */
typedef struct brush {
  bool (*covers)(const struct brush *b, double x, double y, rgb *color);
  touch (*touches)(const struct brush *b, double x, double y, double slack);
  double x, y, reach; /* nothing is covered further than `reach` from (x, y) */
  double angle, opacity;
  double cosine, sine; /* of the angle: paint() fills them in */
  rgb color, accent;
  /* For pixels that are wholly covered in `color`: what is left of the old value, and what is
   * added. paint() fills them in. */
  double left;
  rgb added;
  int32_t shape;
  scene_texture texture;
  double width, height; /* of clutter; of an object, both are its radius */
} brush;

static void to_frame(const brush *b, double x, double y, double *u, double *v) {
  *u = b->cosine * (x - b->x) + b->sine * (y - b->y);
  *v = b->cosine * (y - b->y) - b->sine * (x - b->x);
}

static bool covers_object(const brush *b, double x, double y, rgb *color) {
  double u, v;
  to_frame(b, x, y, &u, &v);
  u /= b->width;
  v /= b->height;
  if (!scene_shape_contains(b->shape, u, v)) return false;
  bool is_accent = false;
  if (b->texture == SCENE_STRIPED) {
    double t = (u + v) * 1.9;
    is_accent = t - floor(t) < 0.42;
  } else if (b->texture == SCENE_DOTTED) {
    double p = u * 2.1, q = v * 2.1;
    p -= round(p);
    q -= round(q);
    is_accent = p * p + q * q < 0.085;
  }
  if (b->texture == SCENE_CHECKED) is_accent = ((int)floor(u * 1.7) + (int)floor(v * 1.7)) % 2 != 0;
  if (b->texture == SCENE_HOLLOW) {
    if (scene_shape_contains(b->shape, 1.6 * u, 1.6 * v)) return false;
  }
  /* a rim of the plain colour keeps the outline intact */
  is_accent = is_accent && scene_shape_contains(b->shape, 1.18 * u, 1.18 * v);
  *color = is_accent ? b->accent : b->color;
  return true;
}

static touch touches_object(const brush *b, double x, double y, double slack) {
  const scene_bounds bounds = scene_shape_bounds(b->shape);
  double u = x - b->x, v = y - b->y, square = u * u + v * v;
  double far = bounds.outer * b->width + slack, near = bounds.inner * b->width - slack;
  if (square > far * far) return TOUCH_NONE;
  return b->texture == SCENE_PLAIN && near > 0 && square < near * near ? TOUCH_ALL : TOUCH_PART;
}

static bool covers_blob(const brush *b, double x, double y, rgb *color) {
  double u, v;
  to_frame(b, x, y, &u, &v);
  u /= b->width;
  v /= b->height;
  *color = b->color;
  return u * u + v * v <= 1;
}

/* A step of length s changes the radius, in which the blob's edge is at 1, by s / height at most.
 */
static touch touches_blob(const brush *b, double x, double y, double slack) {
  double u, v, step = slack / (b->width < b->height ? b->width : b->height);
  double far = 1 + step, near = 1 - step;
  to_frame(b, x, y, &u, &v);
  u /= b->width;
  v /= b->height;
  double square = u * u + v * v;
  if (square > far * far) return TOUCH_NONE;
  return near > 0 && square < near * near ? TOUCH_ALL : TOUCH_PART;
}

static bool covers_line(const brush *b, double x, double y, rgb *color) {
  double u, v;
  to_frame(b, x, y, &u, &v);
  *color = b->color;
  return fabs(u) <= b->width && fabs(v + 0.6 * u * u) <= b->height;
}

/* Along the line, 0.6 u² is no steeper than 1.2 times its half length. Lines are thinner than a
 * pixel: none is covered whole. */
static touch touches_line(const brush *b, double x, double y, double slack) {
  double u, v;
  to_frame(b, x, y, &u, &v);
  if (fabs(u) > b->width + slack) return TOUCH_NONE;
  double far = b->height + slack * (1 + 1.2 * (b->width + 2 * slack));
  return fabs(v + 0.6 * u * u) > far ? TOUCH_NONE : TOUCH_PART;
}

static void paint_part(const canvas *c, const brush *b, int32_t column, int32_t row) {
  rgb sum = {{0, 0, 0}}, color;
  int covered = 0;
  const double *xs = c->samples + (int64_t)column * SAMPLES;
  const double *ys = c->samples + (int64_t)row * SAMPLES;
  for (int i = 0; i < SAMPLES * SAMPLES; i++) {
    if (!b->covers(b, xs[i % SAMPLES], ys[i / SAMPLES], &color)) continue;
    covered++;
    for (int k = 0; k < 3; k++) sum.c[k] += color.c[k];
  }
  if (!covered) return;
  double share = b->opacity * covered / (SAMPLES * SAMPLES);
  float *pixel = c->pixels + ((int64_t)row * c->size + column) * 3;
  for (int k = 0; k < 3; k++)
    pixel[k] = (float)(pixel[k] * (1 - share) + sum.c[k] / covered * share);
}

/* What paint_part would give, to the bit. */
static void paint_whole(const canvas *c, const brush *b, int32_t column, int32_t row) {
  float *pixel = c->pixels + ((int64_t)row * c->size + column) * 3;
  for (int k = 0; k < 3; k++) pixel[k] = (float)(pixel[k] * b->left + b->added.c[k]);
}

static void paint_pixel(const canvas *c, const brush *b, int32_t column, int32_t row) {
  switch (b->touches(b, c->centres[column], c->centres[row], c->slack)) {
  case TOUCH_NONE:
    return;
  case TOUCH_PART:
    paint_part(c, b, column, row);
    return;
  case TOUCH_ALL:
    paint_whole(c, b, column, row);
  }
}

static int32_t clamped(double position, int32_t size) {
  return position < 0 ? 0 : position > size ? size : (int32_t)position;
}

/* The columns of a row that lie within reach. */
static void paint_row(const canvas *c, const brush *b, int32_t row) {
  double far = b->reach + c->slack, away = c->centres[row] - b->y;
  double half = far * far - away * away;
  if (half < 0) return;
  half = sqrt(half);
  int32_t left = clamped((b->x - half) * c->size - 1, c->size);
  int32_t right = clamped((b->x + half) * c->size + 2, c->size);
  for (int32_t column = left; column < right; column++) paint_pixel(c, b, column, row);
}

/* The arithmetic of paint_part when all samples have one colour. */
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
  for (int32_t row = top; row < bottom; row++) paint_row(c, b, row);
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
  brush b = {.covers = is_line ? covers_line : covers_blob,
             .touches = is_line ? touches_line : touches_blob,
             .x = between(random, 0, 1),
             .y = between(random, 0, 1),
             .angle = between(random, 0, 6.283185307179586),
             .opacity = between(random, 0.45, 0.85),
             .color = varied(palette[color], 20, random)};
  b.width = is_line ? between(random, 0.06, 0.22) : between(random, 0.03, 0.075);
  b.height = is_line ? between(random, 0.005, 0.011) : b.width * between(random, 0.3, 0.6);
  b.reach = 1.1 * b.width + 2 * b.height;
  paint(c, &b);
}

static void paint_group(const canvas *c, const scene_group *g, rng *random) {
  static const rgb dark = {{40, 40, 44}}, light = {{255, 255, 255}};
  rgb color = varied(palette[g->color], 12, random);
  double brightness = 0.3 * color.c[0] + 0.59 * color.c[1] + 0.11 * color.c[2];
  rgb accent = brightness > 140 ? mix(color, dark, 0.5) : mix(color, light, 0.6);
  for (int32_t i = 0; i < g->count; i++) {
    brush b = {.covers = covers_object,
               .touches = touches_object,
               .x = g->spots[i].x,
               .y = g->spots[i].y,
               .reach = scene_shape_bounds(g->shape).outer * g->radius,
               .width = g->radius,
               .height = g->radius,
               .angle = g->spots[i].angle,
               .opacity = 1,
               .color = color,
               .accent = accent,
               .shape = g->shape,
               .texture = g->texture};
    paint(c, &b);
  }
}

/* Rounds to bytes under triangular noise of up to `amount` either way. */
static void finish(const canvas *c, double amount, rng *random, uint8_t *pixels) {
  enum { PART = 256 };
  int64_t count = (int64_t)c->size * c->size * 3;
  for (int64_t at = 0; at < count; at += PART) {
    uint32_t bits[PART];
    int64_t part = count - at < PART ? count - at : PART;
    rng_fill(random, bits, (size_t)part);
    for (int64_t i = 0; i < part; i++) {
      double noise = (int32_t)((bits[i] & 0xffff) + (bits[i] >> 16)) / 65535.0 - 1;
      double value = c->pixels[at + i] + noise * amount;
      value = value <= 0 ? -0.5 : value;
      value = value >= 255 ? 255 : value;
      pixels[at + i] = (uint8_t)(int32_t)(value + 0.5);
    }
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

err scene_paint(const scene_picture *p, rng *random, int32_t size, uint8_t *pixels) {
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
