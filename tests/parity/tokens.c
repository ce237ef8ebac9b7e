#include "parity/tokens.h"

#include "support/test.h"

#include <jansson.h>
#include <stdlib.h>

enum { LONGEST = 4096 };

bool tokens_are_same(const tokenizer *t, const char *json, int64_t length, const char *expected) {
  int32_t ids[LONGEST], count;
  const char *at = expected;
  bool is_same = true;
  json_t *text = json_loads(json, JSON_DECODE_ANY, NULL);
  assert_non_null(text);
  assert_true(length <= LONGEST);
  assert_ok(tokenizer_encode(t, json_string_value(text), length, ids, &count));
  json_decref(text);
  for (int32_t i = 0; i < count && is_same; i++) {
    char *end;
    long wanted = strtol(at, &end, 10);
    is_same = end != at && wanted == ids[i];
    if (!is_same)
      print_message("%s: token %d is %d (%s), not %ld (%s)\n", json, i, ids[i],
                    tokenizer_token(t, ids[i]), wanted, tokenizer_token(t, (int32_t)wanted));
    at = end;
  }
  if (is_same && strspn(at, " ") != strlen(at)) {
    print_message("%s: tokens are missing:%s\n", json, at);
    is_same = false;
  }
  for (int32_t i = count; i < length; i++) assert_int_equal(ids[i], tokenizer_padding(t));
  return is_same;
}
