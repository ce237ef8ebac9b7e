/* Other programs' model configurations, and the preprocessor's behind a NUL. */
#include <stdlib.h>

#include "convert/weights.h"
#include "fuzz/fuzz.h"
#include "model/count.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  fuzz_halves parts = fuzz_cut(data, size);
  char *config = fuzz_text(parts.first, parts.first_size);
  char *preprocessor = fuzz_text(parts.second, parts.second_size);
  for (weights_format format = WEIGHTS_HF; format <= WEIGHTS_VIT; format++) {
    settings s;
    model_counts counts;
    int64_t vocabulary = 0;
    fuzz_expect_ok(settings_init(&s));
    err error =
        weights_read_config(format, config, *preprocessor ? preprocessor : NULL, &s, &vocabulary);
    if (!error) error = settings_check_limits(&s);
    if (!error) error = settings_check_model(&s);
    if (!error && vocabulary > 0) error = model_count(&s, vocabulary, OPS_F32, 0, &counts);
    err_free(error);
    settings_free(&s);
  }
  free(preprocessor);
  free(config);
  return 0;
}
