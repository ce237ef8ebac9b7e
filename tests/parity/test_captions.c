/* Our clean-up of captions against open_clip's: fixtures/captions.txt.gz, made by
 * make_captions_fixture.py, or the file that FLIP_CAPTIONS names. Not one may differ. */
#include "support/test.h"

#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "support/gunzip.h"
#include "text/clip_text.h"

static json_t *string_of(const char *json) {
  json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
  assert_true(json_is_string(value));
  return value;
}

static bool is_cleaned_to(const char *caption, const char *cleaned) {
  json_t *text = string_of(caption), *expected = string_of(cleaned);
  strbuf out = {0};
  assert_ok(clip_text_clean(json_string_value(text), true, &out));
  bool is_same = strcmp(strbuf_string(&out), json_string_value(expected)) == 0;
  if (!is_same) {
    json_t *ours = json_string(strbuf_string(&out));
    char *shown = json_dumps(ours, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    print_message("%s\n  is cleaned to %s\n  and not to    %s\n", caption, shown, cleaned);
    free(shown);
    json_decref(ours);
  }
  strbuf_free(&out);
  json_decref(text);
  json_decref(expected);
  return is_same;
}

static void every_caption_is_cleaned_as_open_clip_does(void **state) {
  (void)state;
  const char *path = getenv("FLIP_CAPTIONS");
  size_t cases = 0, different = 0;
  char *data = gunzip_file(path ? path : FLIP_SOURCE_DIR "/tests/parity/fixtures/captions.txt.gz");
  for (char *rest = data, *text; (text = strsep(&rest, "\n")) && *text; cases++)
    different += !is_cleaned_to(text, strsep(&rest, "\n"));
  print_message("%zu captions, %zu differ\n", cases, different);
  assert_int_equal(different, 0);
  assert_true(path || cases >= 3000);
  free(data);
}

static void expect(const char *text, bool repairs, const char *cleaned) {
  strbuf out = {0};
  assert_ok(clip_text_clean(text, repairs, &out));
  assert_string_equal(strbuf_string(&out), cleaned);
  strbuf_free(&out);
}

static void wrongly_decoded_text_is_repaired_unless_disabled(void **state) {
  (void)state;
  expect("Ãƒâ€šÃ‚Â© â€œtestâ€", true, "© \"testâ€");
  expect("CafÃ©", true, "café");
  expect("CafÃ©", false, "cafã©");
  expect("voilÃ le travail", true, "voilà le travail");
  expect("Ð¡Ð¾Ð±Ð°ÐºÐ°", true, "собака");
  expect("РЎРѕР±Р°РєР°", true, "собака");
  expect("ðŸ\xC2\x90¶ dog", true, "🐶 dog");
}

/* An hour would not do for some of these if time grew with the square of the length. In the last,
 * every round of repair makes the next part of the text one that can be repaired. */
static void long_captions_take_linear_time(void **state) {
  (void)state;
  static const char *const units[] = {"Ã©",           "â€", "Ã ", "a\xC2\x85 ", "Ãƒâ€šÃ‚Â©",
                                      "\xEF\xBF\xBD", "é ", "Ð",  "Ãƒ©"};
  for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
    strbuf text = {0}, out = {0};
    strbuf_append(&text, u % 2 ? "漢 " : "");
    while (text.length < 1000000) strbuf_append(&text, units[u]);
    clock_t start = clock();
    assert_ok(clip_text_clean(strbuf_string(&text), true, &out));
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (seconds > 20) fail_msg("1 MB of '%s' take %.1f s", units[u], seconds);
    strbuf_free(&text);
    strbuf_free(&out);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_caption_is_cleaned_as_open_clip_does),
      cmocka_unit_test(wrongly_decoded_text_is_repaired_unless_disabled),
      cmocka_unit_test(long_captions_take_linear_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
