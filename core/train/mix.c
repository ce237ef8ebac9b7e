#include "train/mix.h"

#include <math.h>
#include <string.h>

/* Gamma(alpha, 1) for alpha of 1 and more (Marsaglia & Tsang 2000). */
static double gamma_of(double alpha, rng *random) {
  double d = alpha - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    double x = rng_normal(random), v = 1 + c * x;
    if (v <= 0) continue;
    v = v * v * v;
    if (log(1 - rng_double(random)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
  }
}

double mix_beta(double alpha, rng *random) {
  if (alpha >= 1) {
    double x = gamma_of(alpha, random), y = gamma_of(alpha, random);
    return x / (x + y);
  }
  for (;;) { /* Jöhnk 1964; in logarithms, so that a small alpha does not underflow */
    double u = log(1 - rng_double(random)), v = log(1 - rng_double(random));
    double x = u / alpha, y = v / alpha;
    if (isinf(x) && isinf(y)) return u > v; /* the limit for an alpha near 0: one of the two */
    double most = fmax(x, y), sum = most + log(exp(x - most) + exp(y - most));
    if (sum <= 0) return exp(x - sum);
  }
}

static int64_t within(int64_t at, int64_t size) {
  return at < 0 ? 0 : at > size ? size : at;
}

static void draw_box(mix *m, rng *random) {
  int64_t side = (int64_t)((double)m->size * sqrt(1 - m->share));
  int64_t y = rng_below(random, (uint32_t)m->size), x = rng_below(random, (uint32_t)m->size);
  m->top = within(y - side / 2, m->size);
  m->bottom = within(y + (side + 1) / 2, m->size);
  m->left = within(x - side / 2, m->size);
  m->right = within(x + (side + 1) / 2, m->size);
  double area = (double)((m->bottom - m->top) * (m->right - m->left));
  m->share = 1 - area / ((double)m->size * (double)m->size);
}

mix mix_draw(const settings *s, int64_t step, int64_t group) {
  mix m = {.share = 1, .size = s->image_size};
  rng random = rng_at((uint64_t)s->seed, RNG_MIX, (uint64_t)step, (uint64_t)group);
  bool has_mixup = s->classification_mixup > 0, has_cutmix = s->classification_cutmix > 0;
  if (!has_mixup && !has_cutmix) return m;
  m.is_cut = has_cutmix && (!has_mixup || rng_double(&random) < 0.5);
  m.share = mix_beta(m.is_cut ? s->classification_cutmix : s->classification_mixup, &random);
  if (m.is_cut) draw_box(&m, &random);
  return m;
}

void mix_draw_batch(const settings *s, const int64_t *numbers, int64_t count, mix *out) {
  int64_t size = s->batch_size, group = settings_mix_batch(s);
  for (int64_t i = 0; i < count; i++) {
    int64_t step = numbers[i] / size, own = numbers[i] % size / group;
    bool is_as_before = i && numbers[i - 1] / size == step && numbers[i - 1] % size / group == own;
    out[i] = is_as_before ? out[i - 1] : mix_draw(s, step, own);
  }
}

static void blend_image(double share, int64_t values, const uint8_t *a, const uint8_t *b,
                        uint8_t *to) {
  float own = (float)share, other = (float)(1 - share);
  for (int64_t i = 0; i < values; i++)
    to[i] = (uint8_t)(own * (float)a[i] + other * (float)b[i] + 0.5f);
}

static void cut_image(const mix *m, const uint8_t *b, uint8_t *to) {
  for (int64_t y = m->top; y < m->bottom && m->right > m->left; y++) {
    int64_t at = (y * m->size + m->left) * 3;
    memcpy(to + at, b + at, (size_t)(m->right - m->left) * 3);
  }
}

void mix_images(const mix *m, int64_t count, const uint8_t *from, uint8_t *to) {
  int64_t values = m->size * m->size * 3;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i++) {
    const uint8_t *own = from + i * values, *other = from + (count - 1 - i) * values;
    if (m[i].share < 1 && !m[i].is_cut) {
      blend_image(m[i].share, values, own, other, to + i * values);
    } else {
      memcpy(to + i * values, own, (size_t)values);
      if (m[i].share < 1) cut_image(&m[i], other, to + i * values);
    }
  }
}
