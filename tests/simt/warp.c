/* What the 32 lanes of a warp do together: every such operation is one exchange, in which each
 * lane of the mask shows a payload and then sees those of the others. */
#include <string.h>

#include "simt/machine.h"

static const char warp_barrier[] = "__syncwarp";

static bool is_same(const char *a, const char *b) {
  return a == b || strcmp(a, b) == 0;
}

int simt_lane(void) {
  return (int)(simt.current % SIMT_LANES);
}

/* Every lane named in the mask is waiting: they must wait for the same thing. */
static void complete(simt_warp *warp, unsigned mask, const simt_thread *me) {
  unsigned first = simt.current / SIMT_LANES * SIMT_LANES;
  for (unsigned lane = 0; lane < SIMT_LANES; lane++) {
    if (!(mask >> lane & 1)) continue;
    simt_thread *other = &simt.thread[first + lane];
    if (other->mask != mask || other->line != me->line || !is_same(other->what, me->what))
      simt_fail("lane %d is at %s (%s:%d) with mask %08x, lane %u at %s (%s:%d) with mask %08x",
                simt_lane(), me->what, me->file, me->line, mask, lane, other->what, other->file,
                other->line, other->mask);
    warp->shown[lane] = other->given;
  }
  warp->arrived &= ~mask;
  if (me->what == warp_barrier) warp->epoch++;
  for (unsigned lane = 0; lane < SIMT_LANES; lane++)
    if (mask >> lane & 1) simt.thread[first + lane].state = THREAD_READY;
}

/* Waits for all lanes of the mask; returns what each showed, by lane. */
static const simt_payload *exchange(unsigned mask, const char *what, const void *given,
                                    size_t bytes, const char *file, int line) {
  simt_thread *t = &simt.thread[simt.current];
  simt_warp *warp = &simt.warp[simt.current / SIMT_LANES];
  unsigned me = 1u << simt_lane();
  if (!(mask & me))
    simt_fail("lane %d calls %s (%s:%d) with mask %08x, which does not name it", simt_lane(), what,
              file, line, mask);
  t->what = what;
  t->file = file;
  t->line = line;
  t->mask = mask;
  t->state = THREAD_IN_WARP;
  if (bytes > 0) memcpy(&t->given, given, bytes);
  warp->arrived |= me;
  if ((warp->arrived & mask) == mask)
    complete(warp, mask, t);
  else
    simt_yield();
  return warp->shown;
}

void simt_warp_barrier(unsigned mask, const char *file, int line) {
  exchange(mask, warp_barrier, NULL, 0, file, line);
}

static const simt_payload *shuffled(unsigned mask, const void *value, size_t bytes, int from,
                                    const char *file, int line) {
  const simt_payload *shown = exchange(mask, "a shuffle", value, bytes, file, line);
  from &= SIMT_LANES - 1;
  if (!(mask >> from & 1))
    simt_fail("lane %d shuffles from lane %d (%s:%d), which mask %08x does not name", simt_lane(),
              from, file, line, mask);
  return &shown[from];
}

float simt_shuffle_float(unsigned mask, float value, int from, const char *file, int line) {
  memcpy(&value, shuffled(mask, &value, sizeof value, from, file, line), sizeof value);
  return value;
}

double simt_shuffle_double(unsigned mask, double value, int from, const char *file, int line) {
  memcpy(&value, shuffled(mask, &value, sizeof value, from, file, line), sizeof value);
  return value;
}

int simt_shuffle_int(unsigned mask, int value, int from, const char *file, int line) {
  memcpy(&value, shuffled(mask, &value, sizeof value, from, file, line), sizeof value);
  return value;
}

unsigned simt_ballot(unsigned mask, int vote, const char *file, int line) {
  uint32_t is_yes = vote != 0, result = 0;
  const simt_payload *shown = exchange(mask, "a ballot", &is_yes, sizeof is_yes, file, line);
  for (unsigned lane = 0; lane < SIMT_LANES; lane++)
    if (mask >> lane & 1) result |= shown[lane].word[0] << lane;
  return result;
}

unsigned simt_match_any(unsigned mask, unsigned value, const char *file, int line) {
  uint32_t result = 0;
  const simt_payload *shown = exchange(mask, "a match", &value, sizeof value, file, line);
  for (unsigned lane = 0; lane < SIMT_LANES; lane++)
    if (mask >> lane & 1 && shown[lane].word[0] == value) result |= 1u << lane;
  return result;
}

static float from_bf16(uint32_t bits) {
  bits <<= 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Element `half` (0 low, 1 high) of a register that holds two. */
static float half_of(uint32_t word, int half) {
  return from_bf16(word >> (16 * half) & 0xFFFF);
}

/* a(row, k): register (row / 8) + 2 (k / 8) of lane 4 (row % 8) + k % 8 / 2. */
static float a_element(const simt_payload *shown, int row, int k) {
  return half_of(shown[row % 8 * 4 + k % 8 / 2].word[row / 8 + k / 8 * 2], k % 2);
}

/* b(k, column): register k / 8 of lane 4 column + k % 8 / 2. */
static float b_element(const simt_payload *shown, int k, int column) {
  return half_of(shown[column * 4 + k % 8 / 2].word[4 + k / 8], k % 2);
}

void simt_mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2], const char *file,
                   int line) {
  uint32_t given[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const simt_payload *shown = exchange(~0u, "mma", given, sizeof given, file, line);
  for (int i = 0; i < 4; i++) { /* d[i]: row lane / 4 (+ 8), column 2 (lane % 4) (+ 1) */
    int row = simt_lane() / 4 + i / 2 * 8, column = simt_lane() % 4 * 2 + i % 2;
    float sum = d[i];
    for (int k = 0; k < 16; k++) sum += a_element(shown, row, k) * b_element(shown, k, column);
    d[i] = sum;
  }
}

void simt_load_matrices(uint32_t out[4], const void *row, bool is_transposed, const char *file,
                        int line) {
  if ((uintptr_t)row % 16 != 0)
    simt_fail("ldmatrix (%s:%d): a row must be aligned to 16 bytes", file, line);
  const simt_payload *shown = exchange(~0u, "ldmatrix", &row, sizeof row, file, line);
  record_access(row, 16, ACCESS_READ);
  for (int i = 0; i < 4; i++) {
    uint32_t word = 0;
    for (int half = 0; half < 2; half++) {
      int line_of = is_transposed ? simt_lane() % 4 * 2 + half : simt_lane() / 4;
      int place = is_transposed ? simt_lane() / 4 : simt_lane() % 4 * 2 + half;
      const uint16_t *from;
      memcpy(&from, &shown[i * 8 + line_of], sizeof from);
      word |= (uint32_t)from[place] << (16 * half);
    }
    out[i] = word;
  }
}

int simt_atomic_add_int(int *to, int value) {
  record_access(to, sizeof *to, ACCESS_ATOMIC);
  int before = *to;
  *to = before + value;
  return before;
}

unsigned simt_atomic_max_unsigned(unsigned *to, unsigned value) {
  record_access(to, sizeof *to, ACCESS_ATOMIC);
  unsigned before = *to;
  *to = before > value ? before : value;
  return before;
}

float simt_atomic_add_float(float *to, float value) {
  record_access(to, sizeof *to, ACCESS_ATOMIC);
  float before = *to;
  *to = before + value;
  return before;
}
