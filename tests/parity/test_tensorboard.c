/* TensorBoard's event files: the bytes that its own writer makes (check_tensorboard.py --fixture),
 * and RFC 3720's checksums. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "report/tensorboard.h"
#include "support/test.h"

static void checksums_match_the_standard(void **state) {
  (void)state;
  uint8_t bytes[32] = {0};
  assert_int_equal(tensorboard_crc("123456789", 9), 0xE3069283u);
  assert_int_equal(tensorboard_crc(bytes, 32), 0x8A9136AAu);
  memset(bytes, 0xFF, 32);
  assert_int_equal(tensorboard_crc(bytes, 32), 0x62A8AB43u);
  for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
  assert_int_equal(tensorboard_crc(bytes, 32), 0x46DD794Eu);
  assert_int_equal(tensorboard_crc(bytes, 0), 0);
}

static void events_are_written_as_tensorboard_writes_them(void **state) {
  (void)state;
  tensorboard_events events = {0};
  char *wanted = NULL;
  size_t length;
  tensorboard_begin(&events, 1764190406.0);
  tensorboard_scalar(&events, "train/loss", 0, 1764190406.25, 3.4621);
  tensorboard_scalar(&events, "train/loss", 1, 1764190406.5, (double)NAN);
  tensorboard_scalar(&events, "train/learning_rate", 300, 1764190407.0, 1e-3);
  tensorboard_scalar(&events, "eval/Grüße/zeroshot_top1", (int64_t)1 << 40, 0, -0.5);
  assert_false(events.is_broken);
  assert_ok(fs_read(FLIP_SOURCE_DIR "/tests/parity/fixtures/tensorboard.events", &wanted, &length));
  assert_int_equal(events.length, length);
  assert_memory_equal(events.data, wanted, length);
  strbuf_free(&events);
  free(wanted);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checksums_match_the_standard),
      cmocka_unit_test(events_are_written_as_tensorboard_writes_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
