#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "config/settings.h"
#include "image/image.h"
#include "read/loader.h"
#include "read/permute.h"
#include "read/shard.h"
#include "read/shard_writer.h"
#include "image/shrink.h"
#include "support/folder.h"

enum { SAMPLES = 23, SIZE = 16, LENGTH = 6 };

typedef struct {
  char folder[64];
  dataset *data;
  tokenizer *words;
} fixture;

/* 23 little pictures of different colours; sample 5 is no image when asked. */
static fixture make(bool has_bad) {
  fixture f = {.folder = "/tmp/flip-loader-XXXXXX"};
  char prefix[96], pattern[128], vocabulary[96];
  shard_writer *w;
  int64_t shards;
  assert_non_null(mkdtemp(f.folder));
  snprintf(prefix, sizeof prefix, "%s/train", f.folder);
  assert_ok(shard_writer_open(prefix, 10, &w));
  for (int i = 0; i < SAMPLES; i++) {
    image picture;
    uint8_t *bytes;
    size_t size;
    char key[32], caption[64];
    assert_ok(image_allocate(20 + i, 24, &picture));
    for (int p = 0; p < picture.width * 24 * 3; p++) picture.pixels[p] = (uint8_t)(p * 7 + i * 11);
    assert_ok(shrink_encode_png(&picture, &bytes, &size));
    snprintf(key, sizeof key, "%04d", i);
    snprintf(caption, sizeof caption, "picture %d of %d", i, SAMPLES);
    if (has_bad && i == 5) memset(bytes, 'x', size);
    assert_ok(shard_writer_add(w, key, "png", bytes, size, caption, "{\"labels\":{}}"));
    free(bytes);
    image_free(&picture);
  }
  assert_ok(shard_writer_finish(w, &shards));
  assert_int_equal(shards, 3);
  shard_writer_close(w);
  snprintf(pattern, sizeof pattern, "%s-{00000..00002}.tar", prefix);
  char *patterns[] = {pattern};
  assert_ok(dataset_open(patterns, 1, &f.data));
  assert_int_equal(dataset_count(f.data), SAMPLES);
  snprintf(vocabulary, sizeof vocabulary, "%s/vocab.txt", f.folder);
  static const char words[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\npicture\nof\n";
  assert_ok(fs_write_atomic(vocabulary, words, sizeof words - 1));
  assert_ok(tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_BOTH, vocabulary, &f.words));
  return f;
}

static void unmake(fixture *f) {
  dataset_close(f->data);
  tokenizer_close(f->words);
  folder_remove(f->folder);
}

static loader_config config_of(const fixture *f, int workers, size_t cache) {
  return (loader_config){.data = f->data,
                         .words = f->words,
                         .batch_size = 8,
                         .image_size = SIZE,
                         .text_length = LENGTH,
                         .text_tokens = LENGTH,
                         .total_samples = 80,
                         .seed = 3,
                         .crop_min = 0.5,
                         .crop_max = 1,
                         .ratio_min = 0.75,
                         .ratio_max = 4.0 / 3,
                         .flip = true,
                         .shuffle = true,
                         .workers = workers,
                         .prefetch = 3,
                         .cache_bytes = cache};
}

/* Everything the loader gives from `first` on, in one block: [80 - first] rows, pixels, tokens. */
typedef struct {
  int64_t rows[80];
  uint8_t images[80][SIZE * SIZE * 3];
  int32_t tokens[80][LENGTH];
} stream;

static stream *read_all(const loader_config *c, int64_t first, loader_stats *stats,
                        strbuf *warnings) {
  stream *s = calloc(1, sizeof *s);
  loader *l;
  assert_ok(loader_open(c, first, &l));
  for (int64_t at = first; at < 80; at += 8) {
    loader_batch b;
    double waited;
    assert_ok(loader_next(l, &b, &waited));
    assert_int_equal(b.first_sample, at);
    memcpy(s->rows + at, b.rows, 8 * sizeof *b.rows);
    memcpy(s->images[at], b.images, 8 * sizeof s->images[0]);
    for (int64_t i = 0; i < 8; i++)
      memcpy(s->tokens[at + i], b.tokens + i * c->text_tokens,
             (size_t)c->text_tokens * sizeof *b.tokens);
  }
  if (stats) *stats = loader_get_stats(l);
  if (warnings) loader_take_warnings(l, warnings);
  loader_close(l);
  return s;
}

static void workers_cache_and_resuming_change_nothing(void **state) {
  (void)state;
  fixture f = make(false);
  loader_config one = config_of(&f, 1, 0), three = config_of(&f, 3, 1 << 20);
  loader_stats stats;
  stream *a = read_all(&one, 0, NULL, NULL), *b = read_all(&three, 0, &stats, NULL);
  stream *rest = read_all(&three, 40, NULL, NULL);
  assert_memory_equal(a, b, sizeof *a);
  assert_memory_equal(a->rows + 40, rest->rows + 40, 40 * sizeof *a->rows);
  assert_memory_equal(a->images[40], rest->images[40], 40 * sizeof a->images[0]);
  assert_memory_equal(a->tokens[40], rest->tokens[40], 40 * sizeof a->tokens[0]);
  assert_true(stats.cache_hits > 40);
  free(a);
  free(b);
  free(rest);
  unmake(&f);
}

static void every_epoch_shows_each_sample_once_in_a_new_order(void **state) {
  (void)state;
  fixture f = make(false);
  loader_config c = config_of(&f, 2, 1 << 20);
  stream *s = read_all(&c, 0, NULL, NULL);
  for (int epoch = 0; epoch < 3; epoch++) {
    int seen[SAMPLES] = {0};
    for (int i = 0; i < SAMPLES; i++) seen[s->rows[epoch * SAMPLES + i]]++;
    for (int i = 0; i < SAMPLES; i++) assert_int_equal(seen[i], 1);
  }
  assert_memory_not_equal(s->rows, s->rows + SAMPLES, SAMPLES * sizeof *s->rows);
  free(s);
  unmake(&f);
}

static void a_bad_sample_is_replaced_counted_and_named_once(void **state) {
  (void)state;
  fixture f = make(true);
  loader_config one = config_of(&f, 1, 0), three = config_of(&f, 3, 1 << 20);
  loader_stats stats;
  strbuf warnings = {0};
  stream *a = read_all(&one, 0, &stats, &warnings), *b = read_all(&three, 0, NULL, NULL);
  assert_memory_equal(a, b, sizeof *a);
  assert_int_equal(stats.skipped, 1);
  assert_non_null(strstr(strbuf_string(&warnings), "train-00000.tar: 0005: not a JPEG"));
  for (int i = 0; i < 80; i++) assert_int_not_equal(a->rows[i], 5);
  strbuf_free(&warnings);
  free(a);
  free(b);
  unmake(&f);
}

static void masked_captions_are_the_same_for_any_number_of_workers(void **state) {
  (void)state;
  fixture f = make(false);
  static const int modes[] = {TEXT_MASK_TRUNCATE, TEXT_MASK_RANDOM, TEXT_MASK_FREQUENCY};
  for (size_t i = 0; i < 3; i++) {
    loader_config one = config_of(&f, 1, 0), three = config_of(&f, 3, 1 << 20);
    one.text_mask_mode = three.text_mask_mode = modes[i];
    one.text_tokens = three.text_tokens = 4;
    stream *a = read_all(&one, 0, NULL, NULL), *b = read_all(&three, 0, NULL, NULL);
    stream *rest = read_all(&three, 40, NULL, NULL);
    assert_memory_equal(a, b, sizeof *a);
    assert_memory_equal(a->tokens[40], rest->tokens[40], 40 * sizeof a->tokens[0]);
    for (int j = 0; j < 80; j++) assert_int_equal(a->tokens[j][0], 2); /* [CLS] */
    free(a);
    free(b);
    free(rest);
  }
  unmake(&f);
}

static void closing_in_the_middle_is_clean(void **state) {
  (void)state;
  fixture f = make(false);
  loader_config c = config_of(&f, 3, 0);
  for (int i = 0; i < 5; i++) {
    loader *l;
    loader_batch b;
    double waited;
    assert_ok(loader_open(&c, 0, &l));
    if (i) assert_ok(loader_next(l, &b, &waited));
    loader_close(l);
  }
  unmake(&f);
}

static void the_permutation_is_one_for_any_size(void **state) {
  (void)state;
  for (int64_t count = 1; count < 300; count += 7) {
    bool seen[300] = {false};
    for (int64_t i = 0; i < count; i++) {
      int64_t row = permute(9, 2, count, i);
      assert_true(row >= 0 && row < count && !seen[row]);
      seen[row] = true;
    }
  }
}

static void patterns_expand_as_in_webdataset(void **state) {
  (void)state;
  char **paths, *patterns[] = {"a-{008..011}.tar", "{x,y}/b.tar"};
  size_t count;
  assert_ok(shard_expand(patterns, 2, &paths, &count));
  assert_int_equal(count, 6);
  assert_string_equal(paths[0], "a-008.tar");
  assert_string_equal(paths[3], "a-011.tar");
  assert_string_equal(paths[5], "y/b.tar");
  fs_free_names(paths, count);
  char *none[] = {"/nowhere/*.tar"};
  assert_fails_with(shard_expand(none, 1, &paths, &count), "no file matches");
}

static void a_pattern_that_names_millions_of_shards_is_told(void **state) {
  (void)state;
  char **paths, *two_ranges[] = {"{0..999}-{0..9999}.tar"}, *one[] = {"{00..80000012}.tar"};
  char *edges[] = {"{-9223372036854775807..9223372036854775807}.tar"};
  char *last[] = {"{9223372036854775806..9223372036854775807}.tar"};
  size_t count;
  assert_fails_with(shard_expand(two_ranges, 1, &paths, &count), "more than 1000000 shards");
  assert_fails_with(shard_expand(one, 1, &paths, &count), "longer than 1000000");
  assert_fails_with(shard_expand(edges, 1, &paths, &count), "longer than 1000000");
  assert_ok(shard_expand(last, 1, &paths, &count));
  assert_int_equal(count, 2);
  fs_free_names(paths, count);
}

static void shards_are_plain_tars_with_the_same_bytes_each_time(void **state) {
  (void)state;
  fixture f = make(false), again = make(false);
  char command[256];
  assert_string_equal(dataset_fingerprint(f.data), dataset_fingerprint(again.data));
  snprintf(command, sizeof command, "tar tf %s/train-00001.tar | head -3 | tr '\\n' ' ' > %s/list",
           f.folder, f.folder);
  assert_int_equal(system(command), 0);
  char *list, path[96];
  size_t length;
  snprintf(path, sizeof path, "%s/list", f.folder);
  assert_ok(fs_read(path, &list, &length));
  assert_string_equal(list, "0010.png 0010.txt 0010.json ");
  free(list);
  unmake(&f);
  unmake(&again);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(workers_cache_and_resuming_change_nothing),
      cmocka_unit_test(every_epoch_shows_each_sample_once_in_a_new_order),
      cmocka_unit_test(a_bad_sample_is_replaced_counted_and_named_once),
      cmocka_unit_test(masked_captions_are_the_same_for_any_number_of_workers),
      cmocka_unit_test(closing_in_the_middle_is_clean),
      cmocka_unit_test(the_permutation_is_one_for_any_size),
      cmocka_unit_test(patterns_expand_as_in_webdataset),
      cmocka_unit_test(a_pattern_that_names_millions_of_shards_is_told),
      cmocka_unit_test(shards_are_plain_tars_with_the_same_bytes_each_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
