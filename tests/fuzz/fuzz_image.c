/* An image file: the size that its header gives is what is decoded, and it can be cut to any size.
 */
#include <stdlib.h>

#include "image/image.h"
#include "image/image_header.h"
#include "fuzz/fuzz.h"

enum { MOST_PIXELS = 1 << 20, SIZE = 16 }; /* larger images are left to their headers */

static void transform(const image *i) {
  uint8_t out[SIZE * SIZE * 3];
  rng random = rng_at(1, RNG_CROP, 0, 0);
  fuzz_expect_ok(image_eval_transform(i, SIZE, out));
  fuzz_expect_ok(image_train_transform(i, &(image_augmentation){0.08, 1, 0.75, 1.33, true}, &random,
                                       SIZE, out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *bytes = (uint8_t *)fuzz_text(data, size);
  image_header h = image_read_header(bytes, size);
  image i = {0};
  if (h.width <= MOST_PIXELS && h.height <= MOST_PIXELS && h.width * h.height <= MOST_PIXELS) {
    const int32_t least = size % 2 ? SIZE : 0;
    err error = image_decode(bytes, size, least, &i);
    if (!error) {
      fuzz_require(i.width > 0 && i.height > 0, "an image has pixels");
      fuzz_require(least > 0 || !h.width || (h.width == i.width && h.height == i.height),
                   "an image is as large as its header says");
      if ((int64_t)i.width * i.height <= MOST_PIXELS) transform(&i);
      image_free(&i);
    }
    err_free(error);
  }
  free(bytes);
  return 0;
}
