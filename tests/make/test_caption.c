/* The cleaning rules of docs/data.md, a row each. */
#include "support/test.h"

#include "make/caption.h"

typedef struct {
  const char *in, *out;
} row;

static void check(void (*clean)(const char *, strbuf *), const row *rows, size_t count) {
  strbuf out = {0};
  for (size_t i = 0; i < count; i++) {
    clean(rows[i].in, &out);
    assert_string_equal(strbuf_string(&out), rows[i].out);
  }
  strbuf_free(&out);
}

static void titles_without_meaning_are_dropped(void **state) {
  (void)state;
  const row rows[] = {{"  Baby \n Tux ", "Baby Tux"},
                      {"Part of the Flat Icon Collection (Wed Aug 25 23:29:46 2004)", ""},
                      {"Clipart by Nicu Buculei - jigsaw_red_10", "jigsaw red 10"},
                      {"Clipart by someone", ""},
                      {"http://example.org/x", ""},
                      {"1234", ""},
                      {"Untitled", ""},
                      {"my_drawing_01.svg", "my drawing"},
                      {"<b>Bold</b> cat", "Bold cat"}};
  check(caption_clean_title, rows, sizeof rows / sizeof *rows);
}

static void keywords_without_meaning_are_dropped(void **state) {
  (void)state;
  const row rows[] = {{"", ""},
                      {"hash", ""},
                      {"HASH(0x87fadcc)", ""},
                      {"0x87fadcc", ""},
                      {"42", ""},
                      {"unsorted", ""},
                      {"united_nations_member", "united nations member"}};
  check(caption_clean_keyword, rows, sizeof rows / sizeof *rows);
}

static void descriptions_about_the_file_are_dropped(void **state) {
  (void)state;
  const row rows[] = {{"A pretty young mermaid, looking up", "A pretty young mermaid, looking up"},
                      {"someone@example.com", ""},
                      {"Created with Inkscape", ""},
                      {"see www.example.com", ""},
                      {"...", ""}};
  check(caption_clean_description, rows, sizeof rows / sizeof *rows);
}

static void file_names_become_words(void **state) {
  (void)state;
  strbuf out = {0};
  caption_from_file("bananas_nicu_buculei_01.png", "Nicu Buculei", &out);
  assert_string_equal(strbuf_string(&out), "bananas");
  caption_from_file("pen-style.dash 2.png", "", &out);
  assert_string_equal(strbuf_string(&out), "pen style dash");
  strbuf_free(&out);
}

static void captions_join_without_repeating(void **state) {
  (void)state;
  const char *const keywords[] = {"baseball", "sports", "toy"};
  const caption_parts parts = {"Baseball (B and W)", "Baseball (Black and White).", keywords, 3};
  const caption_parts same = {"Crawfish", "crawfish", keywords, 1};
  strbuf out = {0};
  caption_join(&parts, &out);
  assert_string_equal(strbuf_string(&out),
                      "Baseball (B and W). Baseball (Black and White), sports, toy");
  caption_join(&same, &out);
  assert_string_equal(strbuf_string(&out), "Crawfish, baseball");
  strbuf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(titles_without_meaning_are_dropped),
      cmocka_unit_test(keywords_without_meaning_are_dropped),
      cmocka_unit_test(descriptions_about_the_file_are_dropped),
      cmocka_unit_test(file_names_become_words),
      cmocka_unit_test(captions_join_without_repeating),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
