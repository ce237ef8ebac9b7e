#include "scenes/scene_cover.h"

#include <math.h>

/* As scene_shapes.c has them, with the same operations in the same order: the bits of a scene
 * depend on them. Masks are of the width of a double, so that loops vectorise. */

static void in_polygon(scene_polygon p, int count, const double *x, const double *y, int64_t *in) {
  for (int k = 0; k < count; k++) in[k] = 0;
  for (size_t i = 0, j = p.count - 1; i < p.count; j = i++) {
    const scene_point from = p.corners[i], to = p.corners[j];
    for (int k = 0; k < count; k++) {
      int64_t is_from_below = from.y > y[k], is_to_below = to.y > y[k];
      int64_t is_left = x[k] < (to.x - from.x) * (y[k] - from.y) / (to.y - from.y) + from.x;
      in[k] ^= (is_from_below ^ is_to_below) & is_left;
    }
  }
}

/* near: points for which the formula is not exact enough. */
static void in_regular(const scene_regular *r, int count, const double *x, const double *y,
                       int64_t *in, int64_t *near) {
  double along[SCENE_POINTS], across[SCENE_POINTS];
  for (int k = 0; k < count; k++) along[k] = -2, across[k] = 0;
  for (int i = 0; i < r->sides; i++) {
    const scene_point corner = r->corners[i];
    for (int k = 0; k < count; k++) {
      double here = corner.x * x[k] + corner.y * y[k];
      double beside = fabs(corner.x * y[k] - corner.y * x[k]);
      across[k] = here <= along[k] ? across[k] : beside;
      along[k] = here <= along[k] ? along[k] : here;
    }
  }
  for (int k = 0; k < count; k++) {
    double side = (r->to_x - 1) * across[k] - r->to_y * (along[k] - 1);
    in[k] = side > 0;
    near[k] = !(fabs(side) > SCENE_NEAR_EDGE);
  }
}

static void in_flower(int count, const double *x, const double *y, int64_t *in, int64_t *near) {
  for (int k = 0; k < count; k++) {
    double radius = sqrt(x[k] * x[k] + y[k] * y[k]);
    double c = -y[k] / radius, cc = c * c;
    double inside = 0.7 + 0.26 * c * (5 + cc * (16 * cc - 20)) - radius;
    int64_t is_centre = radius<0.1, is_in = inside> 0, is_far = fabs(inside) > SCENE_NEAR_EDGE;
    in[k] = is_centre | is_in;
    near[k] = (is_centre | is_far) ^ 1;
  }
}

static void in_heart(int count, const double *x, const double *y, int64_t *in) {
  for (int k = 0; k < count; k++) {
    double u = 1.2 * x[k], v = 0.15 - 1.15 * y[k];
    double round_part = u * u + v * v - 1;
    in[k] = round_part * round_part * round_part - u * u * v * v * v <= 0;
  }
}

static void in_crescent(int count, const double *x, const double *y, int64_t *in) {
  for (int k = 0; k < count; k++) {
    double u = x[k] - 0.5;
    int64_t is_within = x[k] * x[k] + y[k] * y[k] <= 0.92, is_beyond = u * u + y[k] * y[k] > 0.62;
    in[k] = is_within & is_beyond;
  }
}

static void in_drop(int count, const double *x, const double *y, int64_t *in) {
  for (int k = 0; k < count; k++) {
    double v = y[k] - 0.32;
    int64_t is_round = x[k] * x[k] + v * v <= 0.39, is_below = y[k] >= -0.98,
            is_above = y[k] <= 0.1, is_beside = fabs(x[k]) <= 0.54 * (y[k] + 0.98);
    in[k] = is_round | (is_below & is_above & is_beside);
  }
}

static void in_arch(int count, const double *x, const double *y, int64_t *in) {
  for (int k = 0; k < count; k++) {
    double far = x[k] * x[k] + y[k] * y[k], side = fabs(x[k]);
    int64_t is_top = y[k] <= 0, is_ring = (int64_t)(far <= 0.9) & (int64_t)(far >= 0.22);
    int64_t is_leg = (int64_t)(side <= 0.948) & (int64_t)(side >= 0.469) & (int64_t)(y[k] <= 0.75);
    in[k] = is_top ? is_ring : is_leg;
  }
}

/* Circle, ring and oval: the square of a radius within bounds. */
static void in_band(double wide, double high, double least, double most, int count, const double *x,
                    const double *y, int64_t *in) {
  for (int k = 0; k < count; k++) {
    double square = x[k] * x[k] / wide + y[k] * y[k] / high;
    in[k] = (int64_t)(square >= least) & (int64_t)(square <= most);
  }
}

void PROCESSOR_KERNEL(scene, contain)(int32_t shape, int count, const double *x, const double *y,
                                      int64_t *inside) {
  const scene_bounds b = scene_shape_bounds(shape);
  const scene_polygon polygon = scene_shape_polygon(shape);
  const scene_regular *regular = scene_shape_regular(shape);
  int64_t near[SCENE_POINTS], found = 0;
  for (int k = 0; k < count; k++) near[k] = 0;
  if (polygon.count)
    in_polygon(polygon, count, x, y, inside);
  else if (regular)
    in_regular(regular, count, x, y, inside, near);
  else if (shape == 16)
    in_flower(count, x, y, inside, near);
  else if (shape == 0 || shape == 4)
    in_band(1, 1, shape == 0 ? 0 : 0.3, shape == 0 ? 0.85 : 0.92, count, x, y, inside);
  else if (shape == 12)
    in_band(0.9, 0.3, 0, 1, count, x, y, inside);
  else
    (shape == 6    ? in_heart
     : shape == 7  ? in_crescent
     : shape == 18 ? in_drop
                   : in_arch)(count, x, y, inside);
  const double inner = b.inner * b.inner, outer = b.outer * b.outer;
  for (int k = 0; k < count; k++) {
    double square = x[k] * x[k] + y[k] * y[k];
    int64_t is_inner = square<inner, is_outer = square> outer;
    inside[k] = (inside[k] & (is_outer ^ 1)) | is_inner;
    near[k] &= (is_inner | is_outer) ^ 1;
    found |= near[k];
  }
  for (int k = 0; k < count && found; k++)
    if (near[k]) inside[k] = scene_shape_contains(shape, x[k], y[k]);
}

static void contain_scaled(int32_t shape, double by, int count, const double *u, const double *v,
                           int64_t *inside) {
  double x[SCENE_POINTS], y[SCENE_POINTS];
  for (int k = 0; k < count; k++) x[k] = by * u[k], y[k] = by * v[k];
  PROCESSOR_KERNEL(scene, contain)(shape, count, x, y, inside);
}

static void in_second_color(scene_texture texture, int count, const double *u, const double *v,
                            int64_t *accent) {
  if (texture == SCENE_STRIPED)
    for (int k = 0; k < count; k++) {
      double t = (u[k] + v[k]) * 1.9;
      accent[k] = t - floor(t) < 0.42;
    }
  else if (texture == SCENE_DOTTED)
    for (int k = 0; k < count; k++) {
      double p = u[k] * 2.1, q = v[k] * 2.1;
      p -= round(p);
      q -= round(q);
      accent[k] = p * p + q * q < 0.085;
    }
  else /* checked: where the sum of two whole numbers is odd */
    for (int k = 0; k < count; k++) {
      double half = (floor(u[k] * 1.7) + floor(v[k] * 1.7)) / 2;
      accent[k] = half != floor(half);
    }
}

static void cover_object(const scene_thing *t, int count, const double *u, const double *v,
                         int64_t *covered, int64_t *accent) {
  int64_t other[SCENE_POINTS];
  PROCESSOR_KERNEL(scene, contain)(t->shape, count, u, v, covered);
  if (t->texture == SCENE_PLAIN) return;
  if (t->texture == SCENE_HOLLOW) {
    contain_scaled(t->shape, 1.6, count, u, v, other);
    for (int k = 0; k < count; k++) covered[k] &= other[k] ^ 1;
    return;
  }
  in_second_color(t->texture, count, u, v, accent);
  /* a rim of the plain colour keeps the outline intact */
  contain_scaled(t->shape, 1.18, count, u, v, other);
  for (int k = 0; k < count; k++) accent[k] &= covered[k] & other[k];
}

void PROCESSOR_KERNEL(scene, cover)(const scene_thing *t, int count, const double *u,
                                    const double *v, int64_t *covered, int64_t *accent) {
  for (int k = 0; k < count; k++) accent[k] = 0;
  if (t->kind == SCENE_LINE) {
    for (int k = 0; k < count; k++) {
      int64_t is_along = fabs(u[k]) <= t->width;
      covered[k] = is_along & (int64_t)(fabs(v[k] + 0.6 * u[k] * u[k]) <= t->height);
    }
    return;
  }
  double x[SCENE_POINTS], y[SCENE_POINTS];
  for (int k = 0; k < count; k++) x[k] = u[k] / t->width, y[k] = v[k] / t->height;
  if (t->kind == SCENE_OBJECT)
    cover_object(t, count, x, y, covered, accent);
  else
    for (int k = 0; k < count; k++) covered[k] = x[k] * x[k] + y[k] * y[k] <= 1;
}
