/* The shapes of scenes.h, in the order of their names there. */
#include <math.h>
#include <stddef.h>

#include "scenes/scene_plan.h"
#include "scenes/scenes.h"

typedef scene_point point;
typedef scene_regular regular;

static const point square[] = {{-0.8, -0.8}, {0.8, -0.8}, {0.8, 0.8}, {-0.8, 0.8}};
static const point triangle[] = {{0, -0.95}, {0.95, 0.75}, {-0.95, 0.75}};
static const point diamond[] = {{0, -1}, {0.62, 0}, {0, 1}, {-0.62, 0}};
static const point cross[] = {{-0.3, -0.95}, {0.3, -0.95}, {0.3, -0.3},   {0.95, -0.3},
                              {0.95, 0.3},   {0.3, 0.3},   {0.3, 0.95},   {-0.3, 0.95},
                              {-0.3, 0.3},   {-0.95, 0.3}, {-0.95, -0.3}, {-0.3, -0.3}};
static const point arrow[] = {{-0.95, -0.25}, {0.05, -0.25}, {0.05, -0.75}, {0.98, 0},
                              {0.05, 0.75},   {0.05, 0.25},  {-0.95, 0.25}};

static const point rectangle[] = {{-0.95, -0.5}, {0.95, -0.5}, {0.95, 0.5}, {-0.95, 0.5}};
static const point trapezoid[] = {{-0.42, -0.65}, {0.42, -0.65}, {1, 0.65}, {-1, 0.65}};
static const point bolt[] = {{0.25, -1}, {-0.62, 0.18}, {-0.05, 0.18},
                             {-0.25, 1}, {0.62, -0.22}, {0.06, -0.22}};

static const regular star = {5,
                             0.42,
                             0,
                             0.33978713763747792,
                             0.2468698059628387,
                             {{0, -1},
                              {0.95105651629515353, -0.30901699437494745},
                              {0.58778525229247325, 0.80901699437494734},
                              {-0.58778525229247303, 0.80901699437494756},
                              {-0.95105651629515364, -0.30901699437494723}}};
static const regular pentagon = {5,
                                 0.80901699437494745,
                                 0,
                                 0.65450849718747373,
                                 0.47552825814757682,
                                 {{0, -1},
                                  {0.95105651629515353, -0.30901699437494745},
                                  {0.58778525229247325, 0.80901699437494734},
                                  {-0.58778525229247303, 0.80901699437494756},
                                  {-0.95105651629515364, -0.30901699437494723}}};
static const regular hexagon = {6,
                                0.86602540378443865,
                                3.14159265358979323846 / 6,
                                0.75,
                                0.43301270189221924,
                                {{0.49999999999999994, -0.86602540378443871},
                                 {1, -6.123233995736766e-17},
                                 {0.50000000000000033, 0.86602540378443849},
                                 {-0.49999999999999972, 0.86602540378443882},
                                 {-1, 1.8369701987210297e-16},
                                 {-0.49999999999999967, -0.86602540378443882}}};
static const regular octagon = {8,
                                0.92387953251128674,
                                3.14159265358979323846 / 8,
                                0.85355339059327373,
                                0.35355339059327379,
                                {{0.38268343236508978, -0.92387953251128674},
                                 {0.92387953251128674, -0.38268343236508984},
                                 {0.92387953251128674, 0.38268343236508973},
                                 {0.38268343236508989, 0.92387953251128674},
                                 {-0.38268343236508967, 0.92387953251128685},
                                 {-0.92387953251128652, 0.38268343236509034},
                                 {-0.92387953251128663, -0.38268343236509},
                                 {-0.38268343236509039, -0.92387953251128652}}};

/* Even-odd rule over the edges that a ray to the right crosses. */
static bool in_polygon(const point *p, size_t count, double x, double y) {
  bool is_inside = false;
  for (size_t i = 0, j = count - 1; i < count; j = i++)
    if ((p[i].y > y) != (p[j].y > y) &&
        x < (p[j].x - p[i].x) * (y - p[i].y) / (p[j].y - p[i].y) + p[i].x)
      is_inside = !is_inside;
  return is_inside;
}

static bool in_regular_by_angle(const regular *r, double x, double y) {
  const double sector = 2 * 3.14159265358979323846 / r->sides;
  double angle = atan2(x, -y) - r->turn;
  angle = fabs(angle - sector * round(angle / sector));
  double radius = sqrt(x * x + y * y);
  double along = radius * cos(angle), across = radius * sin(angle);
  double to_x = r->waist * cos(sector / 2), to_y = r->waist * sin(sector / 2);
  return (to_x - 1) * across - to_y * (along - 1) >= 0;
}

/* A regular polygon or star: in one of the 2n mirrored sectors, the point must be on the near side
 * of the edge from the outer corner (radius 1) to the middle of the side (radius `waist`). The
 * sector is the one whose corner lies furthest along the point's direction. */
static bool in_regular(const regular *r, double x, double y) {
  double along = -2, across = 0;
  for (int i = 0; i < r->sides; i++) {
    double here = r->corners[i].x * x + r->corners[i].y * y;
    if (here <= along) continue;
    along = here;
    across = fabs(r->corners[i].x * y - r->corners[i].y * x);
  }
  double side = (r->to_x - 1) * across - r->to_y * (along - 1);
  return fabs(side) > SCENE_NEAR_EDGE ? side > 0 : in_regular_by_angle(r, x, y);
}

static bool in_heart(double x, double y) {
  double u = 1.2 * x, v = 0.15 - 1.15 * y;
  double round_part = u * u + v * v - 1;
  return round_part * round_part * round_part - u * u * v * v * v <= 0;
}

static bool in_crescent(double x, double y) {
  double u = x - 0.5;
  return x * x + y * y <= 0.92 && u * u + y * y > 0.62;
}

static bool in_flower(double x, double y) {
  double radius = sqrt(x * x + y * y);
  if (radius < 0.1) return true;
  double c = -y / radius, cc = c * c; /* cos 5a = 16 c^5 - 20 c^3 + 5 c */
  double inside = 0.7 + 0.26 * c * (5 + cc * (16 * cc - 20)) - radius;
  if (fabs(inside) > SCENE_NEAR_EDGE) return inside > 0;
  return radius <= 0.7 + 0.26 * cos(5 * atan2(x, -y));
}

static bool in_drop(double x, double y) {
  double v = y - 0.32;
  if (x * x + v * v <= 0.39) return true;
  return y >= -0.98 && y <= 0.1 && fabs(x) <= 0.54 * (y + 0.98);
}

static bool in_arch(double x, double y) {
  double far = x * x + y * y, side = fabs(x);
  if (y <= 0) return far <= 0.9 && far >= 0.22;
  return y <= 0.75 && side <= 0.948 && side >= 0.469;
}

static const scene_bounds bounds[SCENE_SHAPES] = {
    {0.92, 0.926},  /* circle */
    {0.798, 1.135}, /* square */
    {0.462, 1.213}, /* triangle */
    {0.418, 1.004}, /* star */
    {0, 0.963},     /* ring */
    {0.422, 1},     /* cross */
    {0.738, 1.123}, /* heart */
    {0, 0.963},     /* crescent */
    {0.807, 1.004}, /* pentagon */
    {0.864, 1.004}, /* hexagon */
    {0.525, 1.003}, /* diamond */
    {0.248, 0.986}, /* arrow */
    {0.546, 0.952}, /* oval */
    {0.498, 1.077}, /* rectangle */
    {0.646, 1.195}, /* trapezoid */
    {0.922, 1.003}, /* octagon */
    {0.438, 0.964}, /* flower */
    {0.185, 1.033}, /* bolt */
    {0.464, 0.983}, /* drop */
    {0, 1.212},     /* arch */
};

scene_bounds scene_shape_bounds(int32_t shape) {
  return bounds[shape];
}

#define POLYGON(name)                                                                              \
  { name, sizeof name / sizeof name[0] }

scene_polygon scene_shape_polygon(int32_t shape) {
  static const scene_polygon polygons[SCENE_SHAPES] = {
      [1] = POLYGON(square),     [2] = POLYGON(triangle), [5] = POLYGON(cross),
      [10] = POLYGON(diamond),   [11] = POLYGON(arrow),   [13] = POLYGON(rectangle),
      [14] = POLYGON(trapezoid), [17] = POLYGON(bolt)};
  return polygons[shape];
}

const scene_regular *scene_shape_regular(int32_t shape) {
  static const regular *const regulars[SCENE_SHAPES] = {
      [3] = &star, [8] = &pentagon, [9] = &hexagon, [15] = &octagon};
  return regulars[shape];
}

bool scene_shape_contains(int32_t shape, double x, double y) {
  const double square_of_radius = x * x + y * y;
  const scene_bounds *b = &bounds[shape];
  const scene_polygon polygon = scene_shape_polygon(shape);
  const regular *r = scene_shape_regular(shape);
  if (square_of_radius < b->inner * b->inner) return true;
  if (square_of_radius > b->outer * b->outer) return false;
  if (polygon.count) return in_polygon(polygon.corners, polygon.count, x, y);
  if (r) return in_regular(r, x, y);
  switch (shape) {
  case 0:
    return square_of_radius <= 0.85;
  case 4:
    return square_of_radius <= 0.92 && square_of_radius >= 0.3;
  case 6:
    return in_heart(x, y);
  case 7:
    return in_crescent(x, y);
  case 12:
    return x * x / 0.9 + y * y / 0.3 <= 1;
  case 16:
    return in_flower(x, y);
  case 18:
    return in_drop(x, y);
  default:
    return in_arch(x, y);
  }
}
