/* The JSON of samples: what Python's json.loads takes, and what it refuses. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "read/record.h"
#include "read/sample_json.h"

/* The label of {"labels": {"k": VALUE}}. */
static char *label_of(const char *value) {
  char json[512], *label;
  snprintf(json, sizeof json, "{\"labels\": {\"k\": %s}}", value);
  assert_ok(sample_label(json, "k", &label));
  return label;
}

static void values_that_jansson_lacks_are_read(void **state) {
  (void)state;
  static const char *const cases[][2] = {{"\"cat\"", "cat"},
                                         {"3", "3"},
                                         {"-0", "0"},
                                         {"18446744073709551615", "18446744073709551615"},
                                         {"-9223372036854775809", "-9223372036854775809"},
                                         {"\"\\ud83d\\ude00\"", "\xF0\x9F\x98\x80"},
                                         {"\"a\\ud800b\"", "a\xEF\xBF\xBD"
                                                           "b"},
                                         {"\"a\\u0000b\"", "a\xEF\xBF\xBD"
                                                           "b"},
                                         {"NaN", NULL},
                                         {"-Infinity", NULL},
                                         {"1e999", NULL},
                                         {"null", NULL}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *label = label_of(cases[i][0]);
    if (cases[i][1]) {
      assert_non_null(label);
      assert_string_equal(label, cases[i][1]);
    } else {
      assert_null(label);
    }
    free(label);
  }
}

static void odd_values_do_no_harm_to_their_neighbours(void **state) {
  (void)state;
  static const char *const odd[] = {"NaN",   "[Infinity]",  "99999999999999999999",
                                    "1e999", "\"\\udfff\"", "{\"\\u0000\": 1}"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    char json[256], *label, *set;
    snprintf(json, sizeof json, "{\"odd\": %s, \"k\": \"dog\", \"origin\": \"old\"}", odd[i]);
    assert_ok(sample_label(json, "k", &label));
    assert_string_equal(label, "dog");
    free(label);
    assert_ok(sample_json_set(json, "origin", "new", &set));
    snprintf(json, sizeof json, "{\"odd\": %s,\"k\": \"dog\",\"origin\":\"new\"}", odd[i]);
    assert_string_equal(set, json);
    free(set);
  }
}

static void what_python_refuses_is_refused_with_its_place(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "line 1, column 1: it ends early"},
      {"{\"a\": 1", "line 1, column 8: expected ',' or '}'"},
      {"{\"a\": 1}\n x", "line 2, column 2: extra text after the value"},
      {"{\"a\": 01}", "expected ',' or '}'"},
      {"{'a': 1}", "a string in double quotes"},
      {"{\"a\": \"\\x\"}", "an unknown escape"},
      {"{\"a\": \"\n\"}", "a control character"},
      {"{\"a\": -NaN}", "expected a value"},
      {"{\"a\": nan}", "expected a value"},
      {"[1,]", "expected a value"},
      {"{\"a\": \"\xE9\"}", "not UTF-8"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *label, *set;
    assert_fails_with(sample_label(cases[i][0], "k", &label), cases[i][1]);
    assert_fails_with(sample_json_set(cases[i][0], "k", "v", &set), "its JSON cannot be read");
  }
}

static void every_encoding_that_json_may_have_is_read(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t size;
  } cases[] = {{"\xEF\xBB\xBF{\"k\":\"\xC3\xA9\"}", 13},
               {"\xFF\xFE{\0\"\0k\0\"\0:\0\"\0\xE9\0\"\0}\0", 20},
               {"\xFE\xFF\0{\0\"\0k\0\"\0:\0\"\0\xE9\0\"\0}", 20},
               {"{\0\"\0k\0\"\0:\0\"\0\xE9\0\"\0}\0", 18}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *text, *label;
    assert_ok(sample_json_text(cases[i].bytes, cases[i].size, &text));
    assert_ok(sample_label(text, "k", &label));
    assert_non_null(label);
    assert_string_equal(label, "\xC3\xA9");
    free(label);
    free(text);
  }
}

static void a_caption_is_the_field_at_the_top_before_a_label(void **state) {
  (void)state;
  char *text;
  static const char both[] = "{\"labels\":{\"alt\":\"a label\"},\"alt\":\"a caption\"}";
  assert_ok(sample_caption(both, "alt", &text));
  assert_string_equal(text, "a caption");
  free(text);
  assert_ok(sample_label(both, "alt", &text));
  assert_string_equal(text, "a label");
  free(text);
  assert_ok(sample_caption("{\"labels\":{\"alt\":\"a label\"}}", "alt", &text));
  assert_string_equal(text, "a label");
  free(text);
}

/* Of labels, under `labels` first; of captions, at the top first. */
static void a_list_is_found_where_a_single_one_is(void **state) {
  (void)state;
  static const char both[] = "{\"labels\":{\"k\":[\"a\",\"b\"]},\"k\":[\"c\"]}",
                    under[] = "{\"labels\":{\"k\":[\"a\",\"b\"]}}";
  const struct {
    const char *json;
    bool is_label;
    size_t count;
    const char *first;
  } cases[] = {
      {both, true, 2, "a"}, {both, false, 1, "c"}, {under, true, 2, "a"}, {under, false, 2, "a"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char **list;
    size_t count;
    if (cases[i].is_label)
      assert_ok(sample_labels(cases[i].json, "k", &list, &count));
    else
      assert_ok(sample_strings(cases[i].json, "k", &list, &count));
    assert_int_equal(count, cases[i].count);
    assert_string_equal(list[0], cases[i].first);
    for (size_t k = 0; k < count; k++) free(list[k]);
    free(list);
  }
}

/* A list may have numbers for labels, as a single label may be one. */
static void the_strings_of_a_list_may_be_whole_numbers(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"[3, \"a\", -7, \"\"]", "3|a|-7||"},
      {"[1.5, null, true, [2], 99999999999999999999]", "99999999999999999999|"},
      {"5", "5|"},
      {"\"b\"", "b|"},
      {"[]", ""}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char json[256], joined[256] = "", **strings;
    size_t count;
    snprintf(json, sizeof json, "{\"k\": %s}", cases[i][0]);
    assert_ok(sample_strings(json, "k", &strings, &count));
    assert_non_null(strings);
    for (size_t s = 0; s < count; s++) {
      strcat(strcat(joined, strings[s]), "|");
      free(strings[s]);
    }
    assert_string_equal(joined, cases[i][1]);
    free(strings);
  }
  char **none;
  size_t count;
  assert_ok(sample_strings("{\"k\": 1.5}", "k", &none, &count));
  assert_null(none);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_that_jansson_lacks_are_read),
      cmocka_unit_test(odd_values_do_no_harm_to_their_neighbours),
      cmocka_unit_test(what_python_refuses_is_refused_with_its_place),
      cmocka_unit_test(every_encoding_that_json_may_have_is_read),
      cmocka_unit_test(a_caption_is_the_field_at_the_top_before_a_label),
      cmocka_unit_test(a_list_is_found_where_a_single_one_is),
      cmocka_unit_test(the_strings_of_a_list_may_be_whole_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
