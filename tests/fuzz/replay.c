/* The main of the fuzz targets in builds without libFuzzer: gives a target every file that is
 * named, as libFuzzer does, and then the same file damaged in ways that depend on its name and
 * bytes alone: cut, changed, a part doubled, a part of the file before put in. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/rng.h"
#include "fuzz/fuzz.h"

enum { DAMAGES = 64, LARGEST_DAMAGED = 64 << 10 }; /* a few seconds a target under the sanitizers */

typedef struct {
  uint8_t *bytes;
  size_t size;
} input;

/* At most twice as long as `from`. */
static void damage(rng *r, const input *from, input *to) {
  size_t size = from->size;
  uint32_t at = rng_below(r, (uint32_t)size), length = 1 + rng_below(r, (uint32_t)(size - at));
  memcpy(to->bytes, from->bytes, size);
  to->size = size;
  switch (rng_below(r, 4)) {
  case 0:
    to->size = at;
    break;
  case 1: /* a part doubled */
    memcpy(to->bytes + at + length, from->bytes + at, size - at);
    to->size = size + length;
    break;
  case 2: /* a part taken out */
    memmove(to->bytes + at, to->bytes + at + length, size - at - length);
    to->size = size - length;
    break;
  default: { /* values at which sums overflow and texts end */
    static const uint8_t edges[] = {0, 1, 0x7F, 0x80, 0xFF, '0', '9', '-', '{', '}', '\n', '"'};
    for (uint32_t i = rng_below(r, 8); i < 8; i++)
      to->bytes[rng_below(r, (uint32_t)size)] =
          rng_below(r, 2) ? edges[rng_below(r, sizeof edges)] : (uint8_t)rng_u32(r);
  }
  }
}

static void run_damaged(const input *from, uint64_t file) {
  input to = {.bytes = malloc(2 * from->size)};
  fuzz_require(to.bytes != NULL, "memory for an input");
  for (uint64_t i = 0; i < DAMAGES; i++) {
    rng r = rng_at(1, RNG_TEST, file, i);
    damage(&r, from, &to);
    LLVMFuzzerTestOneInput(to.bytes, to.size);
  }
  free(to.bytes);
}

int main(int argc, char **argv) {
  input *inputs = calloc((size_t)argc, sizeof *inputs);
  fuzz_require(inputs != NULL && argc > 1, "files to replay");
  for (int i = 1; i < argc; i++) /* all before the first, which may leave this folder */
    fuzz_expect_ok(fs_read(argv[i], (char **)&inputs[i].bytes, &inputs[i].size));
  for (int i = 1; i < argc; i++) {
    fprintf(stderr, "%s: %zu bytes\n", argv[i], inputs[i].size);
    LLVMFuzzerTestOneInput(inputs[i].bytes, inputs[i].size);
    if (inputs[i].size && inputs[i].size <= LARGEST_DAMAGED) run_damaged(&inputs[i], (uint64_t)i);
    free(inputs[i].bytes);
  }
  free(inputs);
  return 0;
}
