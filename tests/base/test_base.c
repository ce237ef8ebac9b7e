#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/numbers.h"
#include "base/options.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/text.h"

static void philox_gives_the_known_answers(void **state) {
  (void)state;
  /* From the Random123 distribution's kat_vectors, philox4x32 10. */
  const uint32_t ones[4] = {~0u, ~0u, ~0u, ~0u}, zeros[4] = {0};
  const uint32_t zero_answer[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  const uint32_t ones_answer[4] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
  uint32_t out[4];
  rng_philox(zeros, zeros, out);
  assert_memory_equal(out, zero_answer, sizeof out);
  rng_philox(ones, ones, out);
  assert_memory_equal(out, ones_answer, sizeof out);
}

static void filled_words_are_those_drawn_one_by_one(void **state) {
  (void)state;
  uint32_t filled[100];
  for (size_t before = 0; before < 5; before++)
    for (size_t count = 0; count < 100; count++) {
      rng one = rng_at(3, RNG_TEST, 1, 2), many = one;
      for (size_t i = 0; i < before; i++) assert_true(rng_u32(&one) == rng_u32(&many));
      rng_fill(&many, filled, count);
      for (size_t i = 0; i < count; i++) assert_true(filled[i] == rng_u32(&one));
      assert_true(rng_u32(&many) == rng_u32(&one));
    }
}

static void random_numbers_depend_on_every_coordinate_and_nothing_else(void **state) {
  (void)state;
  rng same = rng_at(7, RNG_MASK, 3, 11), again = rng_at(7, RNG_MASK, 3, 11);
  uint64_t first = rng_u64(&same);
  assert_true(first == rng_u64(&again));
  rng others[] = {rng_at(8, RNG_MASK, 3, 11),
                  rng_at(7, RNG_CROP, 3, 11),
                  rng_at(7, RNG_MASK, 4, 11),
                  rng_at(7, RNG_MASK, 3, 12),
                  rng_at(7, RNG_MASK, 3, 11 | 1ull << 40),
                  rng_at(7, RNG_MASK, 3 | 1ull << 33, 11)};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    assert_true(rng_u64(&others[i]) != first);
}

static void words_of_neighbouring_places_are_those_of_each(void **state) {
  (void)state;
  static const uint64_t firsts[] = {0, 1, 977, 0xFFFFFFF0u, (1ull << 56) - 32};
  for (size_t f = 0; f < sizeof firsts / sizeof *firsts; f++) {
    uint32_t words[4][RNG_PLACES];
    rng_first_words(7, RNG_INIT, 5 | 1ull << 33, firsts[f], words);
    for (uint64_t i = 0; i < RNG_PLACES; i++) {
      rng r = rng_at(7, RNG_INIT, 5 | 1ull << 33, firsts[f] + i);
      for (int w = 0; w < 4; w++) assert_int_equal(words[w][i], rng_u32(&r));
    }
  }
}

static void uniform_and_normal_draws_have_the_right_moments(void **state) {
  (void)state;
  rng r = rng_at(1, RNG_TEST, 0, 0);
  enum { COUNT = 200000 };
  double uniform = 0, normal = 0, square = 0;
  int buckets[7] = {0};
  for (int i = 0; i < COUNT; i++) {
    double u = rng_double(&r), z = rng_normal(&r);
    assert_true(u >= 0 && u < 1);
    uniform += u;
    normal += z;
    square += z * z;
    buckets[rng_below(&r, 7)]++;
  }
  /* five standard errors of each mean */
  assert_true(fabs(uniform / COUNT - 0.5) < 5 * 0.289 / sqrt(COUNT));
  assert_true(fabs(normal / COUNT) < 5 / sqrt(COUNT));
  assert_true(fabs(square / COUNT - 1) < 5 * sqrt(2.0 / COUNT));
  for (int i = 0; i < 7; i++) assert_true(fabs(buckets[i] - COUNT / 7.0) < 5 * sqrt(COUNT / 7.0));
}

static void an_error_gains_context_on_its_way_up(void **state) {
  (void)state;
  err error = err_new(ERR_INPUT, "member '%s': not a JPEG", "a.jpg");
  error = err_context(error, "reading shard %s", "00012.tar");
  assert_string_equal(err_message(error), "reading shard 00012.tar: member 'a.jpg': not a JPEG");
  assert_int_equal(err_kind_of(error), ERR_INPUT);
  err_free(error);
  assert_null(err_context(NULL, "nothing"));
}

static void a_failed_allocation_is_reported_not_hidden(void **state) {
  (void)state;
  mem_fail_after(0);
  strbuf text = {0};
  strbuf_append(&text, "lost");
  void *block = mem_aligned(64);
  mem_fail_after(-1);
  assert_null(block);
  assert_true(text.is_broken);
  assert_null(strbuf_take(&text));
}

static void a_lack_of_memory_is_reported_with_what_would_fit(void **state) {
  (void)state;
  static const struct {
    size_t bytes;
    const char *message;
  } cases[] = {{48, "out of memory: 48 B for a shard"},
               {3 << 20, "out of memory: 3.00 MiB for a shard"},
               {0, "out of memory: a shard"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    err error = mem_error(cases[i].bytes, "a shard");
    assert_string_equal(err_message(error), cases[i].message);
    assert_int_equal(err_kind_of(error), ERR_MEMORY);
    err_free(error);
  }
}

#define ZEROS_10 "0000000000"
#define ZEROS_70 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10 ZEROS_10

static void integers_are_parsed_alike_everywhere(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t value; /* -1: none */
  } cases[] = {{"12", 12},
               {"50k", 50000},
               {"2.5M", 2500000},
               {"1G", 1000000000},
               {"1e6", 1000000},
               {"+7", 7},
               {"1_000", 1000},
               {"2.5", -1},
               {"1000000000.4", -1},
               {"", -1},
               {"k", -1},
               {"12 ", -1},
               {" 12", -1},
               {"0x10", -1},
               {"12kk", -1},
               {"nan", -1},
               {"9223372036854775807", INT64_MAX},
               {"9223372036854775808", -1},
               {"9223372036854776k", -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t value = -1;
    bool is_read = text_parse_whole(cases[i].text, &value);
    if (is_read != (cases[i].value >= 0) || value != cases[i].value)
      fail_msg("'%s' is read as %lld", cases[i].text, (long long)value);
  }
  /* an exponent after 70 digits is not dropped */
  double real;
  assert_true(text_parse_real("0.001e-3", &real) && real == 0.001e-3);
  assert_false(text_parse_real("0.001" ZEROS_70 "e-3", &real));
  assert_false(text_parse_real("0.001" ZEROS_70 "junk", &real));
  assert_false(text_parse_whole("1." ZEROS_70 "junk", &(int64_t){0}));
  assert_true(text_parse_real("1____________________________________________________________"
                              "____________________________________________________________0",
                              &real) &&
              real == 10);
  int64_t block;
  assert_string_equal(text_read_whole("17.weight", &block), ".weight");
  assert_int_equal(block, 17);
  assert_null(text_read_whole("weight", &block));
}

static void the_median_of_many_lies_between_the_middle_two(void **state) {
  (void)state;
  double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2};
  assert_true(numbers_median(odd, 3) == 3);
  assert_true(numbers_median(even, 4) == 2.5);
  assert_true(even[0] == 1 && even[3] == 4);
  assert_true(numbers_quantile(even, 4, 1) == 4);
  assert_true(isnan(numbers_median(odd, 0)));
}

static void the_nearest_name_is_suggested_only_when_it_is_near(void **state) {
  (void)state;
  const char *const names[] = {"mask_ratio", "mask_mode", "seed"};
  assert_string_equal(text_nearest("mask_rato", names, 3), "mask_ratio");
  assert_string_equal(text_nearest("sede", names, 3), "seed");
  assert_null(text_nearest("zebra", names, 3));
}

static void numbers_are_written_for_people(void **state) {
  (void)state;
  char buffer[TEXT_NUMBER_SIZE];
  assert_string_equal(text_bytes(2061584302, buffer), "1.92 GiB");
  assert_string_equal(text_duration(200, buffer), "3 m 20 s");
  assert_string_equal(text_duration(3720, buffer), "1 h 02 m");
  assert_string_equal(text_duration(0.085, buffer), "85 ms");
  assert_string_equal(text_count(75000, buffer), "75.0 k");
  assert_string_equal(text_si(4e12, "FLOP", buffer), "4.00 TFLOP");
}

/* A number is rounded before its unit and places are chosen: what is printed is never a whole one
 * of the next unit. */
static void rounding_moves_to_the_next_unit(void **state) {
  (void)state;
  static const struct {
    double value;
    const char *text;
  } durations[] = {{0.9994, "999 ms"},
                   {0.9996, "1.0 s"},
                   {9.94, "9.9 s"},
                   {9.97, "10 s"},
                   {59.4, "59 s"},
                   {59.7, "1 m 00 s"},
                   {119.4, "1 m 59 s"},
                   {119.6, "2 m 00 s"},
                   {3599.4, "59 m 59 s"},
                   {3599.7, "1 h 00 m"},
                   {2 * 3600 - 29, "2 h 00 m"},
                   {1e9, "277777 h 47 m"},
                   {1.01e9, "32 years"},   /* 32.0; one has 31,557,600 s */
                   {1e12, "31.7 k years"}, /* 31,688 */
                   {3e21, "95.1 T years"},
                   {(double)INFINITY, "-"},
                   {-1, "-"},
                   {0, "0 ms"}},
    counts[] = {{999.4, "999"},     {999.6, "1.00 k"},   {9994, "9.99 k"},
                {9996, "10.0 k"},   {99940, "99.9 k"},   {99960, "100 k"},
                {999.4e3, "999 k"}, {999.7e3, "1.00 M"}, {999.9e6, "1.00 B"}},
    sizes[] = {{1023, "1023 B"},
               {1024, "1.00 KiB"},
               {1023.4 * 1048576, "1023 MiB"},
               {1023.9 * 1048576, "1.00 GiB"},
               {9.996 * 1048576, "10.0 MiB"}};
  char buffer[TEXT_NUMBER_SIZE];
  for (size_t i = 0; i < sizeof durations / sizeof *durations; i++)
    assert_string_equal(text_duration(durations[i].value, buffer), durations[i].text);
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
    assert_string_equal(text_count(counts[i].value, buffer), counts[i].text);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    assert_string_equal(text_bytes((uint64_t)sizes[i].value, buffer), sizes[i].text);
  assert_string_equal(text_si(999.7e9, "FLOP", buffer), "1.00 TFLOP");
}

static void json_survives_quotes_control_characters_and_bad_utf8(void **state) {
  (void)state;
  strbuf out = {0};
  json_writer w = jsonw_start(&out);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "a\"b", "line\nbreak \x01 \xff end");
  jsonw_number(&w, "x", 0.1);
  jsonw_number(&w, "nan", NAN);
  jsonw_array(&w, "list");
  jsonw_integer(&w, NULL, -3);
  jsonw_bool(&w, NULL, true);
  jsonw_end(&w);
  jsonw_end(&w);
  assert_string_equal(strbuf_string(&out), "{\"a\\\"b\":\"line\\nbreak \\u0001 \xEF\xBF\xBD end\","
                                           "\"x\":0.1,\"nan\":null,\"list\":[-3,true]}");
  strbuf_free(&out);
}

static void options_parse_suggest_and_refuse(void **state) {
  (void)state;
  bool json = false, help = false;
  const char *out = NULL;
  int64_t count = 0;
  option options[] = {{"out", 'o', OPTION_STRING, &out, "DIR", "where", true},
                      {"count", 0, OPTION_INTEGER, &count, "N", "how many", false},
                      {"json", 0, OPTION_FLAG, &json, NULL, "JSON", false},
                      {0}};
  command c = {"test", "a test", "", options, NULL};
  option_list rest = {0};
  char *good[] = {"test", "x", "--out=dir", "--count", "50k", "--json", "--", "--y"};
  assert_ok(options_parse(&c, 8, good, &rest, &help));
  assert_string_equal(out, "dir");
  assert_int_equal(count, 50000);
  assert_true(json);
  assert_int_equal(rest.count, 2);
  options_free_list(&rest);
  char *missing[] = {"test"}, *typo[] = {"test", "--jsn"}, *bad[] = {"test", "--count", "many"};
  assert_fails_with(options_parse(&c, 1, missing, &rest, &help), "--out DIR is missing");
  assert_fails_with(options_parse(&c, 2, typo, &rest, &help), "did you mean '--json'");
  assert_fails_with(options_parse(&c, 3, bad, &rest, &help), "'many' is not a whole number");
}

/* From an unset variable: a path would be the root of the file system, or the current folder. */
static void an_empty_path_is_refused_and_an_empty_text_is_not(void **state) {
  (void)state;
  const char *out = "here", *note = "none";
  bool help = false;
  option_list lists = {0}, rest = {0};
  option options[] = {{"out", 'o', OPTION_STRING, &out, "DIR", "where", false},
                      {"list", 0, OPTION_LIST, &lists, "FD|FILE", "what", false},
                      {"note", 0, OPTION_STRING, &note, "WORDS", "a note", false},
                      {0}};
  command c = {"test", "a test", "NAME [OPTIONS]", options, NULL};
  char *folder[] = {"test", "-o", ""}, *equals[] = {"test", "--out="},
       *item[] = {"test", "--list", "x", "--list", ""}, *name[] = {"test", ""},
       *text[] = {"test", "--note", "", "--", ""};
  assert_fails_with(options_parse(&c, 3, folder, &rest, &help),
                    "--out is empty: give DIR (an unset variable?)");
  assert_fails_with(options_parse(&c, 2, equals, &rest, &help), "--out is empty");
  assert_fails_with(options_parse(&c, 5, item, &rest, &help), "--list is empty: give FD|FILE");
  options_free_list(&lists);
  assert_fails_with(options_parse(&c, 2, name, &rest, &help),
                    "an argument is empty (an unset variable?); usage: test NAME [OPTIONS]");
  assert_ok(options_parse(&c, 5, text, &rest, &help)); /* another program's word */
  assert_string_equal(note, "");
  assert_int_equal(rest.count, 1);
  options_free_list(&rest);
  c.usage = "RUN TEXT";
  assert_ok(options_parse(&c, 2, name, &rest, &help));
  options_free_list(&rest);
}

static void an_option_with_an_optional_value_takes_only_its_own_words(void **state) {
  (void)state;
  const char *retry = NULL, *turns = NULL;
  bool help;
  option options[] = {{"retry", 0, OPTION_CHOICE, &retry, "failed|data", "", false},
                      {"turns", 0, OPTION_AMOUNT, &turns, "[TIME]", "", false},
                      {0}};
  command c = {"flip test", "", "", options, NULL};
  option_list rest = {0};
  char *alone[] = {"test", "--retry", "x.yaml", "--turns", "y"};
  assert_ok(options_parse(&c, 5, alone, &rest, &help));
  assert_string_equal(retry, "");
  assert_string_equal(turns, "");
  assert_int_equal(rest.count, 2);
  options_free_list(&rest);
  char *with[] = {"test", "--turns", "5m", "--retry", "data", "x.yaml"};
  assert_ok(options_parse(&c, 6, with, &rest, &help));
  assert_string_equal(retry, "data");
  assert_string_equal(turns, "5m");
  assert_int_equal(rest.count, 1);
  options_free_list(&rest);
  char *wrong[] = {"test", "--retry=never"};
  assert_fails_with(options_parse(&c, 2, wrong, &rest, &help), "'never' is not one of failed|data");
}

static void text_from_outside_cannot_command_a_terminal(void **state) {
  (void)state;
  strbuf out = {0};
  text_escape("\033[2Ja\r\tb\n\x7f\302\233\342\200\256\377ü", &out);
  assert_string_equal(strbuf_string(&out), "\\x1B[2Ja\\r\tb\n\\x7F\\x9B\\u202E\\xFFü");
  strbuf_clear(&out);
  text_escape_html("<a title=\"x & \a\">ü", &out);
  assert_string_equal(strbuf_string(&out), "&lt;a title=&quot;x &amp; \\x07&quot;&gt;ü");
  strbuf_free(&out);
}

static void a_file_and_its_bytes_have_one_fingerprint(void **state) {
  (void)state;
  char path[] = "/tmp/flip-hash-XXXXXX", of_file[HASH_SIZE], of_bytes[HASH_SIZE],
       in_parts[HASH_SIZE];
  int fd = mkstemp(path);
  assert_true(write(fd, "hello world", 11) == 11);
  close(fd);
  assert_ok(hash_file(path, of_file));
  hash_bytes("hello world", 11, of_bytes);
  hash_state *parts = hash_begin();
  hash_add(parts, "hello ", 6);
  hash_add(parts, "world", 5);
  hash_finish(parts, in_parts);
  assert_string_equal(of_file, of_bytes);
  assert_string_equal(in_parts, of_bytes);
  unlink(path);
}

static void durations_and_sizes_are_read_as_people_write_them(void **state) {
  (void)state;
  static const struct {
    const char *text;
    double seconds;
  } durations[] = {{"90", 90},      {"1.5", 1.5},     {"30s", 30},   {"250ms", 0.25},
                   {"1h30m", 5400}, {"1h 30m", 5400}, {"2d", 172800}};
  static const struct {
    const char *text;
    int64_t bytes;
  } sizes[] = {{"4096", 4096},
               {"8GiB", 8LL << 30},
               {"8G", 8LL << 30},
               {"1.5KiB", 1536},
               {"8 GB", 8000000000}};
  double seconds;
  int64_t bytes;
  for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
    assert_true(text_parse_duration(durations[i].text, &seconds));
    assert_true(seconds == durations[i].seconds);
  }
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    assert_true(text_parse_bytes(sizes[i].text, &bytes));
    assert_true(bytes == sizes[i].bytes);
  }
  static const char *const wrong[] = {"",  "soon", "-1",    "1x",      "5 apples",
                                      "h", "0x10", "1.5.2", "1h 30 5", "nan"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_false(text_parse_duration(wrong[i], &seconds));
    assert_false(text_parse_bytes(wrong[i], &bytes));
  }
}

/* What `use` prints on stderr, a pipe. */
static void catch_errors(void (*use)(void), char *said, size_t size) {
  int ends[2], kept = dup(STDERR_FILENO);
  assert_true(kept >= 0 && pipe(ends) == 0);
  fflush(stderr);
  dup2(ends[1], STDERR_FILENO);
  use();
  fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  close(ends[1]);
  ssize_t got = read(ends[0], said, size - 1);
  said[got > 0 ? got : 0] = '\0';
  close(ends[0]);
}

static void work_shortly(void) {
  progress p = progress_start("filtering", 4, 0, true);
  for (int i = 1; i <= 4; i++) progress_update(&p, i, NULL);
  progress_finish(&p, NULL);
}

static void work_long(void) {
  progress p = progress_start("filtering", 4, 0, true);
  p.drawn -= 60;
  for (int i = 1; i <= 4; i++) progress_update(&p, i, NULL);
  progress_finish(&p, NULL);
}

static void progress_in_a_pipe_ends_with_the_work(void **state) {
  (void)state;
  char said[512];
  catch_errors(work_shortly, said, sizeof said);
  assert_string_equal(said, "");
  catch_errors(work_long, said, sizeof said);
  assert_non_null(strstr(said, "filtering  25 %"));
  assert_non_null(strstr(said, "\nfiltering 100 %"));
}

static void a_timing_counts_once_another_confirms_it(void **state) {
  (void)state;
  clock_shortest s = {0};
  assert_false(clock_is_confirmed(&s));
  clock_add(&s, 5);
  assert_false(clock_is_confirmed(&s));
  clock_add(&s, 9); /* disturbed, as the first perhaps was */
  assert_false(clock_is_confirmed(&s));
  clock_add(&s, 2);
  assert_false(clock_is_confirmed(&s));
  clock_add(&s, 7);
  clock_add(&s, 2.1);
  assert_true(clock_is_confirmed(&s));
  assert_true(s.seconds == 2);
  clock_add(&s, 1.5);
  assert_false(clock_is_confirmed(&s));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(durations_and_sizes_are_read_as_people_write_them),
      cmocka_unit_test(philox_gives_the_known_answers),
      cmocka_unit_test(filled_words_are_those_drawn_one_by_one),
      cmocka_unit_test(random_numbers_depend_on_every_coordinate_and_nothing_else),
      cmocka_unit_test(words_of_neighbouring_places_are_those_of_each),
      cmocka_unit_test(uniform_and_normal_draws_have_the_right_moments),
      cmocka_unit_test(an_error_gains_context_on_its_way_up),
      cmocka_unit_test(a_failed_allocation_is_reported_not_hidden),
      cmocka_unit_test(a_lack_of_memory_is_reported_with_what_would_fit),
      cmocka_unit_test(integers_are_parsed_alike_everywhere),
      cmocka_unit_test(the_median_of_many_lies_between_the_middle_two),
      cmocka_unit_test(the_nearest_name_is_suggested_only_when_it_is_near),
      cmocka_unit_test(numbers_are_written_for_people),
      cmocka_unit_test(rounding_moves_to_the_next_unit),
      cmocka_unit_test(json_survives_quotes_control_characters_and_bad_utf8),
      cmocka_unit_test(options_parse_suggest_and_refuse),
      cmocka_unit_test(an_empty_path_is_refused_and_an_empty_text_is_not),
      cmocka_unit_test(an_option_with_an_optional_value_takes_only_its_own_words),
      cmocka_unit_test(text_from_outside_cannot_command_a_terminal),
      cmocka_unit_test(a_file_and_its_bytes_have_one_fingerprint),
      cmocka_unit_test(progress_in_a_pipe_ends_with_the_work),
      cmocka_unit_test(a_timing_counts_once_another_confirms_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
