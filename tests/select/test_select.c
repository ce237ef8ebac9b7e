#include "support/test.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/fs.h"
#include "select/image_hash.h"
#include "read/record.h"
#include "read/stats.h"
#include "select/select.h"
#include "read/shard_writer.h"
#include "image/shrink.h"
#include "support/folder.h"

static char folder[] = "/tmp/flip-select-XXXXXX";

static char *in_folder(const char *name) {
  char *path = fs_join(folder, name);
  assert_non_null(path);
  return path;
}

/* Blobs of a seed, smooth enough for a copy of another size to look alike. */
static image draw(int seed, int32_t width, int32_t height) {
  image picture;
  assert_ok(image_allocate(width, height, &picture));
  for (int32_t y = 0; y < height; y++)
    for (int32_t x = 0; x < width; x++) {
      rng r = rng_at(3, RNG_TEST, (uint64_t)seed, (uint64_t)(8 * x / width + 8 * (8 * y / height)));
      memset(picture.pixels + 3 * (y * width + x), (int)rng_below(&r, 256), 3);
    }
  return picture;
}

static void add(shard_writer *w, const char *key, const image *picture, bool as_jpeg,
                const char *caption) {
  uint8_t *bytes;
  size_t size;
  assert_ok(as_jpeg ? shrink_encode_jpeg(picture, &bytes, &size)
                    : shrink_encode_png(picture, &bytes, &size));
  assert_ok(shard_writer_add(w, key, as_jpeg ? "jpg" : "png", bytes, size, caption,
                             "{\"labels\":{\"kind\":\"blob\"}}"));
  free(bytes);
}

static int64_t reason_count(const select_result *r, const char *name) {
  json_t *root = json_loads(strbuf_string(&r->report), 0, NULL);
  int64_t count = json_integer_value(json_object_get(json_object_get(root, "left_out"), name));
  json_decref(root);
  return count;
}

static dataset *open_in_folder(const char *pattern) {
  char *path = in_folder(pattern);
  dataset *d;
  assert_ok(dataset_open(&path, 1, &d));
  free(path);
  return d;
}

static void filtering_keeps_what_the_rules_let_through_and_says_why_not(void **state) {
  (void)state;
  char *prefix = in_folder("raw"), *out = in_folder("clean"), *origin;
  shard_writer *w;
  int64_t shards;
  image first = draw(1, 80, 80), copy = draw(1, 56, 56), other = draw(2, 80, 80);
  image small = draw(3, 20, 80), wide = draw(4, 200, 60);
  assert_ok(shard_writer_open(prefix, 100, &w));
  add(w, "first", &first, false, "a picture of blobs");
  add(w, "copy", &copy, true, "the same picture again");
  add(w, "other", &other, true, "a picture of other blobs");
  add(w, "small", &small, false, "a picture of small blobs");
  add(w, "wide", &wide, false, "a picture of wide blobs");
  add(w, "short", &other, false, "blobs");
  add(w, "digits", &other, false, "12 34 56 78 x");
  assert_ok(shard_writer_add(w, "broken", "jpg", "GIF8", 4, "a picture of nothing", "{}"));
  assert_ok(shard_writer_finish(w, &shards));
  shard_writer_close(w);
  dataset *d = open_in_folder("raw-*.tar");
  const filter_rules rules = {
      .min_words = 3, .min_letters = 0.5, .min_side = 40, .max_aspect = 3, .duplicates = 4};
  const select_output output = {.out = out, .shard_size = 10};
  select_result r;
  assert_ok(select_filter(d, &rules, &output, &r));
  dataset_close(d);
  assert_int_equal(r.kept, 2);
  assert_int_equal(r.left_out, 6);
  static const char *const reasons[] = {"unreadable", "caption_length", "caption_letters",
                                        "image_size", "image_aspect",   "duplicate"};
  for (int i = 0; i < 6; i++) assert_int_equal(reason_count(&r, reasons[i]), 1);
  strbuf_free(&r.report);

  char *list = in_folder("clean/left_out.tsv"), *lines;
  size_t length;
  assert_ok(fs_read(list, &lines, &length));
  assert_non_null(strstr(lines, "raw-00000.tar/copy\tduplicate\tof "));
  assert_non_null(strstr(lines, "raw-00000.tar/small\timage_size\t20 x 80 pixels\n"));
  assert_non_null(strstr(lines, "raw-00000.tar/short\tcaption_length\t1 word, 5 characters\n"));
  d = open_in_folder("clean/kept-*.tar");
  assert_int_equal(dataset_count(d), 2);
  dataset_sample s;
  assert_ok(dataset_read(d, 1, &s));
  assert_string_equal(s.caption, "a picture of other blobs");
  assert_ok(sample_label(s.json, "origin", &origin));
  assert_non_null(strstr(origin, "raw-00000.tar/other"));
  assert_memory_equal(s.image, "\xFF\xD8\xFF", 3); /* still a JPEG */
  free(origin);
  dataset_sample_free(&s);
  dataset_close(d);
  image *all[] = {&first, &copy, &other, &small, &wide};
  for (int i = 0; i < 5; i++) image_free(all[i]);
  free(lines);
  free(list);
  free(prefix);
  free(out);
}

static void a_copy_is_kept_when_the_first_one_cannot_be_written(void **state) {
  (void)state;
  char *prefix = in_folder("copies"), *out = in_folder("written");
  shard_writer *w;
  int64_t shards;
  uint8_t *bytes;
  size_t size;
  image picture = draw(1, 80, 80);
  select_result r;
  assert_ok(shrink_encode_png(&picture, &bytes, &size));
  assert_ok(shard_writer_open(prefix, 100, &w));
  assert_ok(shard_writer_add(w, "first", "png", bytes, size, "blobs", "{\"cut"));
  assert_ok(shard_writer_add(w, "second", "png", bytes, size, "blobs", "{}"));
  assert_ok(shard_writer_add(w, "third", "png", bytes, size, "blobs", "{}"));
  assert_ok(shard_writer_finish(w, &shards));
  shard_writer_close(w);
  dataset *d = open_in_folder("copies-*.tar");
  const filter_rules rules = {.duplicates = 3};
  const select_output output = {.out = out, .shard_size = 10};
  assert_ok(select_filter(d, &rules, &output, &r));
  dataset_close(d);
  assert_int_equal(r.kept, 1);
  assert_int_equal(reason_count(&r, "unreadable"), 1);
  assert_int_equal(reason_count(&r, "duplicate"), 1);
  strbuf_free(&r.report);
  free(bytes);
  image_free(&picture);
  free(prefix);
  free(out);
}

/* libjpeg skips bytes between segments, which our reader of headers does not. */
static void a_jpeg_is_judged_by_its_own_size(void **state) {
  (void)state;
  char *prefix = in_folder("stray"), *out = in_folder("sized"), *list, *lines;
  shard_writer *w;
  int64_t shards;
  uint8_t *bytes, with[1 << 16];
  size_t size;
  image picture = draw(1, 160, 120);
  select_result r;
  assert_ok(shrink_encode_jpeg(&picture, &bytes, &size));
  assert_true(size + 4 < sizeof with);
  const size_t at = 4 + ((size_t)bytes[4] << 8 | bytes[5]); /* after the first segment */
  memcpy(with, bytes, at);
  memset(with + at, 0, 4);
  memcpy(with + at + 4, bytes + at, size - at);
  assert_ok(shard_writer_open(prefix, 100, &w));
  assert_ok(shard_writer_add(w, "plain", "jpg", bytes, size, "blobs", "{}"));
  assert_ok(shard_writer_add(w, "stray", "jpg", with, size + 4, "blobs", "{}"));
  assert_ok(shard_writer_finish(w, &shards));
  shard_writer_close(w);
  dataset *d = open_in_folder("stray-*.tar");
  const filter_rules rules = {.min_side = 200, .duplicates = -1};
  const select_output output = {.out = out, .shard_size = 10};
  assert_ok(select_filter(d, &rules, &output, &r));
  dataset_close(d);
  strbuf_free(&r.report);
  list = in_folder("sized/left_out.tsv");
  assert_ok(fs_read(list, &lines, &size));
  assert_non_null(strstr(lines, "/plain\timage_size\t160 x 120 pixels\n"));
  assert_non_null(strstr(lines, "/stray\timage_size\t160 x 120 pixels\n"));
  free(bytes);
  image_free(&picture);
  free(lines);
  free(list);
  free(prefix);
  free(out);
}

static void near_hashes_are_found_in_any_band(void **state) {
  (void)state;
  for (int distance = 0; distance <= IMAGE_HASH_FARTHEST; distance++) {
    hash_index *h;
    int64_t met;
    assert_ok(hash_index_create(distance, &h));
    rng r = rng_at(6, RNG_TEST, 0, (uint64_t)distance);
    picture_hash hash = {.bits = rng_u64(&r)};
    assert_ok(hash_index_meet(h, &hash, 42, &met));
    assert_int_equal(met, -1);
    for (int i = 0; i < 500; i++) { /* so many different bits turned: just near, just not */
      picture_hash near = hash, far;
      while (__builtin_popcountll(near.bits ^ hash.bits) < distance)
        near.bits ^= (uint64_t)1 << rng_below(&r, 64);
      far = near;
      while (__builtin_popcountll(far.bits ^ hash.bits) != distance + 1)
        far.bits = near.bits ^ (uint64_t)1 << rng_below(&r, 64);
      assert_ok(hash_index_meet(h, &near, 7, &met));
      assert_int_equal(met, 42);
      hash_index *alone;
      assert_ok(hash_index_create(distance, &alone));
      assert_ok(hash_index_meet(alone, &hash, 42, &met));
      assert_ok(hash_index_meet(alone, &far, 7, &met));
      assert_int_equal(met, -1);
      hash_index_destroy(alone);
    }
    hash_index_destroy(h);
  }
}

static void write_captions(const char *name, const char *const *captions, int count) {
  char *prefix = in_folder(name), key[16];
  shard_writer *w;
  int64_t shards;
  image picture = draw(9, 8, 8);
  assert_ok(shard_writer_open(prefix, 1000, &w));
  for (int i = 0; i < count; i++) {
    snprintf(key, sizeof key, "%03d", i);
    add(w, key, &picture, false, captions[i]);
  }
  assert_ok(shard_writer_finish(w, &shards));
  shard_writer_close(w);
  image_free(&picture);
  free(prefix);
}

/* Kept samples whose caption holds `word`. */
static int count_with(const char *pattern, const char *word) {
  dataset *d = open_in_folder(pattern);
  int count = 0;
  for (int64_t row = 0; row < dataset_count(d); row++) {
    dataset_sample s;
    assert_ok(dataset_read_text(d, row, &s));
    count += strstr(s.caption, word) != NULL;
    dataset_sample_free(&s);
  }
  dataset_close(d);
  return count;
}

static void balance(const char *pattern, const char *out_name, const char *terms, uint64_t seed,
                    select_result *r) {
  char *out = in_folder(out_name);
  const balance_rules rules = {.per_term = 5, .terms = terms, .seed = seed};
  const select_output output = {.out = out, .shard_size = 100};
  dataset *d = open_in_folder(pattern);
  assert_ok(select_balance(d, &rules, &output, r));
  dataset_close(d);
  free(out);
}

static char *read_shard(const char *name, size_t *length) {
  char *path = in_folder(name), *bytes;
  assert_ok(fs_read(path, &bytes, length));
  free(path);
  return bytes;
}

static void balancing_cuts_the_head_and_keeps_the_tail(void **state) {
  (void)state;
  const char *captions[45];
  select_result r;
  for (int i = 0; i < 45; i++)
    captions[i] = i < 30   ? "a Dog in the park"
                  : i < 34 ? "a cat in the park"
                  : i < 44 ? "an ice cream, a dog"
                           : "…";
  write_captions("many", captions, 45);
  balance("many-*.tar", "some", NULL, 1, &r);
  /* rarest: "cat" at 4; "cream" at 10; of the dogs in the park "in" at 34, before "park", "the" */
  assert_int_equal(reason_count(&r, "no_term"), 1);
  assert_int_equal(count_with("some/kept-*.tar", "cat"), 4);
  assert_int_equal(count_with("some/kept-*.tar", "Dog"), 5);
  assert_int_equal(count_with("some/kept-*.tar", "cream"), 5);
  assert_int_equal(reason_count(&r, "term_full"), 25 + 5);
  strbuf_free(&r.report);

  char *terms = in_folder("terms.txt");
  assert_ok(fs_write_atomic(terms, "Ice Cream\ndog\n", 14));
  balance("many-*.tar", "named", terms, 1, &r);
  assert_int_equal(count_with("named/kept-*.tar", "cream"), 5); /* two words are one term */
  assert_int_equal(count_with("named/kept-*.tar", "Dog"), 5);
  assert_int_equal(reason_count(&r, "no_term"), 4 + 1);
  strbuf_free(&r.report);
  free(terms);
}

static void a_word_that_a_caption_repeats_counts_once(void **state) {
  (void)state;
  const char *captions[8];
  select_result r;
  for (int i = 0; i < 8; i++) captions[i] = i < 4 ? "tick tick tick clock" : "clock";
  write_captions("clocks", captions, 8);
  balance("clocks-*.tar", "ticking", NULL, 1, &r);
  assert_int_equal(r.kept, 8); /* four under "tick", though it occurs more often than "clock" */
  strbuf_free(&r.report);
}

static void a_long_caption_counts_to_its_last_word(void **state) {
  (void)state;
  const char *captions[12];
  select_result r;
  strbuf tall = {0};
  for (int i = 0; i < 3000; i++) strbuf_append(&tall, "the ");
  strbuf_append(&tall, "zebra");
  for (int i = 0; i < 12; i++) captions[i] = i < 2 ? strbuf_string(&tall) : "the";
  write_captions("tall", captions, 12);
  balance("tall-*.tar", "counted", NULL, 1, &r);
  assert_int_equal(count_with("counted/kept-*.tar", "zebra"), 2); /* under their rarest word */
  assert_int_equal(r.kept, 2 + 5);
  strbuf_free(&r.report);
  strbuf_free(&tall);
}

static void what_cannot_be_written_takes_no_place_of_its_term(void **state) {
  (void)state;
  char *prefix = in_folder("half");
  shard_writer *w;
  int64_t shards;
  uint8_t *bytes;
  size_t size;
  image picture = draw(9, 8, 8);
  assert_ok(shrink_encode_png(&picture, &bytes, &size));
  assert_ok(shard_writer_open(prefix, 100, &w));
  for (int i = 0; i < 20; i++) { /* five each: whole, other bytes, cut JSON, a cut image */
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    size_t sizes[] = {size, 4, size, size / 2};
    assert_ok(shard_writer_add(w, key, "png", i % 4 == 1 ? (void *)"GIF8" : bytes, sizes[i % 4],
                               "dog", i % 4 == 2 ? "{\"cut" : "{}"));
  }
  assert_ok(shard_writer_finish(w, &shards));
  shard_writer_close(w);
  for (uint64_t seed = 0; seed < 3; seed++) {
    select_result r;
    balance("half-*.tar", "five", NULL, seed, &r);
    assert_int_equal(r.kept, 5);
    assert_int_equal(r.left_out, 15);
    strbuf_free(&r.report);
    char *kept = in_folder("five/kept-*.tar");
    strbuf bad = {0};
    int64_t faults, samples;
    assert_ok(stats_verify(&kept, 1, &bad, &faults, &samples));
    assert_int_equal(samples, 5);
    assert_string_equal(strbuf_string(&bad), "");
    strbuf_free(&bad);
    free(kept);
  }
  free(bytes);
  image_free(&picture);
  free(prefix);
}

static void the_seed_alone_decides_which_samples_stay(void **state) {
  (void)state;
  select_result r;
  static const uint64_t seeds[] = {1, 1, 2};
  static const char *const outs[] = {"one", "again", "two"};
  static const char *const files[] = {"one/kept-00000.tar", "again/kept-00000.tar",
                                      "two/kept-00000.tar"};
  char *bytes[3];
  size_t length[3];
  for (int i = 0; i < 3; i++) {
    balance("many-*.tar", outs[i], NULL, seeds[i], &r);
    strbuf_free(&r.report);
    bytes[i] = read_shard(files[i], &length[i]);
  }
  assert_int_equal(length[0], length[1]);
  assert_memory_equal(bytes[0], bytes[1], length[0]);
  assert_true(length[0] != length[2] || memcmp(bytes[0], bytes[2], length[0]) != 0);
  for (int i = 0; i < 3; i++) free(bytes[i]);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  folder_remove(folder);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(filtering_keeps_what_the_rules_let_through_and_says_why_not),
      cmocka_unit_test(a_copy_is_kept_when_the_first_one_cannot_be_written),
      cmocka_unit_test(a_jpeg_is_judged_by_its_own_size),
      cmocka_unit_test(near_hashes_are_found_in_any_band),
      cmocka_unit_test(balancing_cuts_the_head_and_keeps_the_tail),
      cmocka_unit_test(a_word_that_a_caption_repeats_counts_once),
      cmocka_unit_test(a_long_caption_counts_to_its_last_word),
      cmocka_unit_test(what_cannot_be_written_takes_no_place_of_its_term),
      cmocka_unit_test(the_seed_alone_decides_which_samples_stay),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
