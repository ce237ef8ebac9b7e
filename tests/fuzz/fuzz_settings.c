/* A run file: what is accepted is written canonically and read back as the same settings, and can
 * be counted. */
#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "fuzz/fuzz.h"
#include "model/count.h"

static err apply(const char *text, size_t length, settings *s) {
  yml_document *document = NULL;
  yml_problems problems = {0};
  err error = yml_parse("input", text, length, &document);
  if (error) return error;
  settings_apply(s, yml_root(document), NULL, &problems);
  yml_free(document);
  return yml_problems_take(&problems);
}

static void check_round_trip(const settings *s) {
  settings again;
  strbuf first = {0}, second = {0};
  settings_write_yaml(s, &first);
  fuzz_expect_ok(settings_init(&again));
  fuzz_expect_ok(apply(strbuf_string(&first), first.length, &again));
  settings_write_yaml(&again, &second);
  fuzz_require(strcmp(strbuf_string(&first), strbuf_string(&second)) == 0,
               "canonical settings read back as they were");
  settings_free(&again);
  strbuf_free(&first);
  strbuf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  settings s;
  model_counts counts;
  strbuf json = {0};
  char digest[HASH_SIZE];
  char *text = fuzz_text(data, size);
  fuzz_expect_ok(settings_init(&s));
  err error = apply(text, size, &s);
  if (!error) {
    check_round_trip(&s);
    fuzz_expect_ok(settings_fingerprint(&s, digest));
    settings_write_json(&s, &json);
    error = settings_check(&s);
  }
  if (!error) error = model_count(&s, BERT_VOCABULARY, OPS_BF16, 1 << 20, &counts);
  err_free(error);
  strbuf_free(&json);
  settings_free(&s);
  free(text);
  return 0;
}
