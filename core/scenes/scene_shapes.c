/* The shapes of scenes.h, in the order of their names there. */
#include <math.h>
#include <stddef.h>

#include "scenes/scene_plan.h"

typedef struct {
  double x, y;
} point;

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

/* Even-odd rule over the edges that a ray to the right crosses. */
static bool in_polygon(const point *p, size_t count, double x, double y) {
  bool is_inside = false;
  for (size_t i = 0, j = count - 1; i < count; j = i++)
    if ((p[i].y > y) != (p[j].y > y) &&
        x < (p[j].x - p[i].x) * (y - p[i].y) / (p[j].y - p[i].y) + p[i].x)
      is_inside = !is_inside;
  return is_inside;
}

/* A regular polygon or star with a corner at `turn` (0: the top): in one of the 2n mirrored
 * sectors, the point must be on the near side of the edge from the outer corner (radius 1) to the
 * middle of the side (radius `waist`). */
static bool in_regular(int sides, double waist, double turn, double x, double y) {
  const double sector = 2 * 3.14159265358979323846 / sides;
  double angle = atan2(x, -y) - turn;
  angle = fabs(angle - sector * round(angle / sector));
  double radius = sqrt(x * x + y * y);
  double along = radius * cos(angle), across = radius * sin(angle);
  double to_x = waist * cos(sector / 2), to_y = waist * sin(sector / 2);
  return (to_x - 1) * across - to_y * (along - 1) >= 0;
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

#define POLYGON(name) in_polygon(name, sizeof name / sizeof name[0], x, y)

bool scene_shape_contains(int32_t shape, double x, double y) {
  const double square_of_radius = x * x + y * y;
  switch (shape) {
  case 0:
    return square_of_radius <= 0.85;
  case 1:
    return POLYGON(square);
  case 2:
    return POLYGON(triangle);
  case 3:
    return in_regular(5, 0.42, 0, x, y);
  case 4:
    return square_of_radius <= 0.92 && square_of_radius >= 0.3;
  case 5:
    return POLYGON(cross);
  case 6:
    return in_heart(x, y);
  case 7:
    return in_crescent(x, y);
  case 8:
    return in_regular(5, 0.80901699437494745, 0, x, y);
  case 9:
    return in_regular(6, 0.86602540378443865, 3.14159265358979323846 / 6, x, y);
  case 10:
    return POLYGON(diamond);
  case 12:
    return x * x / 0.9 + y * y / 0.3 <= 1;
  case 13:
    return POLYGON(rectangle);
  case 14:
    return POLYGON(trapezoid);
  case 15:
    return in_regular(8, 0.92387953251128674, 3.14159265358979323846 / 8, x, y);
  case 16:
    return in_flower(x, y);
  case 17:
    return POLYGON(bolt);
  case 18:
    return in_drop(x, y);
  case 19:
    return in_arch(x, y);
  default:
    return POLYGON(arrow);
  }
}
