#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/rng.h"
#include "config/settings.h"
#include "image/image.h"
#include "read/loader.h"
#include "read/shard_writer.h"
#include "read/text_mask.h"
#include "image/shrink.h"
#include "support/folder.h"

enum { SAMPLES = 23, SIZE = 16, LENGTH = 6 };

typedef struct {
  char folder[64];
  dataset *data;
  tokenizer *words;
} fixture;

static bool is_five(int i) {
  return i == 5;
}

static bool is_none(int i) {
  (void)i;
  return false;
}

static bool is_most(int i) {
  return i < 20;
}

/* 23 small images of different colours; those that is_bad names are no images. */
static fixture make_with(bool (*is_bad)(int i)) {
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
    if (is_bad(i)) memset(bytes, 'x', size);
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

static fixture make(bool has_bad) {
  return make_with(has_bad ? is_five : is_none);
}

/* The same shards by name alone. */
static dataset *open_stream(const fixture *f) {
  char pattern[128];
  dataset *d;
  snprintf(pattern, sizeof pattern, "%s/train-{00000..00002}.tar", f->folder);
  assert_ok(dataset_open_stream(&(char *){pattern}, 1, false, &d));
  return d;
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
  stream_position after[10]; /* behind each batch */
} batches;

static batches *read_from(const loader_config *c, int64_t first, const stream_position *from,
                          loader_stats *stats, strbuf *warnings) {
  batches *s = calloc(1, sizeof *s);
  loader *l;
  assert_ok(loader_open(c, first, from, &l));
  for (int64_t at = first; at < 80; at += 8) {
    loader_batch b;
    double waited;
    assert_ok(loader_next(l, &b, &waited));
    assert_int_equal(b.first_sample, at);
    s->after[at / 8] = b.after;
    memcpy(s->rows + at, b.rows, 8 * sizeof *b.rows);
    memcpy(s->images[at], b.images, 8 * sizeof s->images[0]);
    for (int64_t i = 0; i < 8; i++)
      memcpy(s->tokens[at + i], b.tokens + i * c->text_tokens,
             (size_t)c->text_tokens * sizeof *b.tokens);
  }
  if (stats) *stats = loader_get_stats(l);
  if (warnings) loader_take_warnings(l, warnings, warnings);
  loader_close(l);
  return s;
}

static batches *read_all(const loader_config *c, int64_t first, loader_stats *stats,
                         strbuf *warnings) {
  return read_from(c, first, &(stream_position){0}, stats, warnings);
}

/* The groups are larger and smaller than a rank's part of the batch, or span two ranks. Each sample
 * of the batch is on one rank, as far from its end as its partner from its beginning. */
static void the_pairs_of_a_group_are_on_one_rank(void **state) {
  (void)state;
  static const struct {
    int ranks;
    int64_t mirrored;
  } cases[] = {{1, 2}, {1, 4}, {2, 16}, {2, 8}, {3, 24}, {3, 12}, {3, 4}, {3, 2}};
  enum { OWN = 8 };
  fixture f = make(false);
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    const int64_t group = cases[k].mirrored, whole = OWN * cases[k].ranks;
    bool is_seen[3 * OWN] = {false};
    for (int rank = 0; rank < cases[k].ranks; rank++) {
      loader_config c = config_of(&f, 2, 0);
      loader *l;
      loader_batch b;
      double waited;
      c.rank = rank;
      c.ranks = cases[k].ranks;
      c.mirrored = group;
      c.total_samples = 2 * whole;
      assert_ok(loader_open(&c, whole, &(stream_position){0}, &l));
      assert_ok(loader_next(l, &b, &waited));
      for (int64_t i = 0; i < OWN; i++) {
        int64_t own = b.numbers[i] - whole, other = b.numbers[OWN - 1 - i] - whole;
        assert_in_range(own, 0, whole - 1);
        assert_false(is_seen[own]);
        is_seen[own] = true;
        assert_int_equal(other / group, own / group);
        assert_int_equal(other % group, group - 1 - own % group);
      }
      loader_close(l);
    }
  }
  unmake(&f);
}

static void workers_cache_and_resuming_change_nothing(void **state) {
  (void)state;
  fixture f = make(false);
  loader_config one = config_of(&f, 1, 0), three = config_of(&f, 3, 1 << 20);
  loader_stats stats;
  batches *a = read_all(&one, 0, NULL, NULL), *b = read_all(&three, 0, &stats, NULL);
  batches *rest = read_all(&three, 40, NULL, NULL);
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
  batches *s = read_all(&c, 0, NULL, NULL);
  for (int epoch = 0; epoch < 3; epoch++) {
    int seen[SAMPLES] = {0};
    for (int i = 0; i < SAMPLES; i++) seen[s->rows[epoch * SAMPLES + i]]++;
    for (int i = 0; i < SAMPLES; i++) assert_int_equal(seen[i], 1);
  }
  assert_memory_not_equal(s->rows, s->rows + SAMPLES, SAMPLES * sizeof *s->rows);
  free(s);
  unmake(&f);
}

/* An epoch has a quarter of the source: drawn with replacement, samples are of any epoch. */
static void drawing_with_replacement_reaches_all_of_a_weighted_source(void **state) {
  (void)state;
  fixture f = make(false);
  loader_config c = config_of(&f, 2, 0);
  char *name = (char *)"scenes:1#size=16,count=40,weight=0.25";
  bool is_seen[40] = {false};
  int found = 0;
  dataset *d;
  assert_ok(dataset_open(&name, 1, &d));
  assert_int_equal(dataset_epoch(d), 10);
  c.data = d;
  c.shuffle = false;
  c.resample = true;
  batches *s = read_from(&c, 0, NULL, NULL, NULL);
  for (int g = 0; g < 80; g++) {
    found += !is_seen[s->rows[g]];
    is_seen[s->rows[g]] = true;
  }
  assert_true(found > 25); /* of 40 (1 - (39/40)^80) = 34.7 */
  free(s);
  dataset_close(d);
  unmake(&f);
}

static void a_bad_sample_is_replaced_counted_and_named_once(void **state) {
  (void)state;
  fixture f = make(true);
  loader_config one = config_of(&f, 1, 0), three = config_of(&f, 3, 1 << 20);
  loader_stats stats;
  strbuf warnings = {0};
  batches *a = read_all(&one, 0, &stats, &warnings), *b = read_all(&three, 0, NULL, NULL);
  assert_memory_equal(a, b, sizeof *a);
  assert_int_equal(stats.skipped, 1);
  assert_int_equal(stats.replaced, 4); /* in three epochs, and in the part of the fourth */
  assert_non_null(strstr(strbuf_string(&warnings), "train-00000.tar: 0005: not a JPEG"));
  for (int i = 0; i < 80; i++) assert_int_not_equal(a->rows[i], 5);
  strbuf_free(&warnings);
  free(a);
  free(b);
  unmake(&f);
}

/* Bad samples that follow each other in the order are replaced by different ones: a batch of one
 * image many times has a loss of its own. */
static void neighbours_that_are_bad_are_replaced_by_different_samples(void **state) {
  (void)state;
  fixture f = make_with(is_most);
  dataset *streamed = open_stream(&f);
  for (int is_stream = 0; is_stream < 2; is_stream++) {
    loader_config one = config_of(&f, 1, 0), three = config_of(&f, 3, 0);
    loader_stats stats;
    if (is_stream) one.data = three.data = streamed;
    one.buffer = three.buffer = 10;
    one.shuffle = three.shuffle = false;
    batches *a = read_all(&one, 0, &stats, NULL), *b = read_all(&three, 0, NULL, NULL);
    batches *rest = read_from(&three, 40, &a->after[4], NULL, NULL);
    assert_memory_equal(a, b, sizeof *a);
    assert_memory_equal(a->rows + 40, rest->rows + 40, 40 * sizeof *a->rows);
    assert_int_equal(stats.replaced, 3 * 20 + 11); /* the fourth epoch has eleven samples */
    int64_t last = is_stream ? (int64_t)2 << 32 : 20, counts[3] = {0};
    for (int i = 0; i < 20; i++) { /* all bad */
      assert_in_range(a->rows[i], last, last + 2);
      counts[a->rows[i] - last]++;
    }
    for (int i = 0; i < 3; i++) assert_in_range(counts[i], 2, 12);
    free(a);
    free(b);
    free(rest);
  }
  dataset_close(streamed);
  unmake(&f);
}

/* In place, the tokens are the same; the first is at place 0, and places ascend. */
static void check_places(const loader_config *config, bool is_truncated, const batches *expected) {
  loader_config c = *config;
  loader *l;
  loader_batch batch;
  double waited;
  int spread = 0;
  c.text_mask_is_in_place = true;
  assert_ok(loader_open(&c, 0, NULL, &l));
  assert_ok(loader_next(l, &batch, &waited));
  assert_true((batch.token_places == NULL) == is_truncated);
  for (int64_t j = 0; j < batch.count * c.text_tokens; j++) {
    const int32_t *place = batch.token_places + j;
    const int64_t at = j % c.text_tokens;
    assert_int_equal(batch.tokens[j], expected->tokens[j / c.text_tokens][at]);
    if (is_truncated) continue;
    assert_true(at ? place[0] > place[-1] && place[0] < c.text_length : place[0] == 0);
    spread += place[0] > at;
  }
  assert_true(is_truncated || spread > 0);
  loader_close(l);
}

static void masked_captions_are_the_same_for_any_number_of_workers(void **state) {
  (void)state;
  fixture f = make(false);
  static const int modes[] = {TEXT_MASK_TRUNCATE, TEXT_MASK_RANDOM, TEXT_MASK_FREQUENCY};
  for (size_t i = 0; i < 3; i++) {
    loader_config one = config_of(&f, 1, 0), three = config_of(&f, 3, 1 << 20);
    one.text_mask_mode = three.text_mask_mode = modes[i];
    one.text_tokens = three.text_tokens = 4;
    batches *a = read_all(&one, 0, NULL, NULL), *b = read_all(&three, 0, NULL, NULL);
    batches *rest = read_all(&three, 40, NULL, NULL);
    assert_memory_equal(a, b, sizeof *a);
    assert_memory_equal(a->tokens[40], rest->tokens[40], 40 * sizeof a->tokens[0]);
    for (int j = 0; j < 80; j++) assert_int_equal(a->tokens[j][0], 2); /* [CLS] */
    check_places(&three, modes[i] == TEXT_MASK_TRUNCATE, a);
    free(a);
    free(b);
    free(rest);
  }
  unmake(&f);
}

/* What sample g of the run shows of its row: drawn for g, in the first epoch and in later ones. */
static void a_sample_is_cropped_changed_and_masked_by_its_own_number(void **state) {
  (void)state;
  enum { KEPT = 4 };
  fixture f = make(false);
  loader_config c = config_of(&f, 2, 1 << 20);
  c.augment = (rand_augment){.magnitude = 9, .deviation = 0.5, .operations = 2};
  c.text_mask_mode = TEXT_MASK_RANDOM;
  c.text_tokens = KEPT;
  const text_mask mask = {.mode = TEXT_MASK_RANDOM,
                          .length = LENGTH,
                          .kept = KEPT,
                          .ends = tokenizer_ends(f.words),
                          .padding = tokenizer_padding(f.words)};
  const image_augmentation crop = {c.crop_min, c.crop_max, c.ratio_min, c.ratio_max, c.flip};
  batches *s = read_from(&c, 0, NULL, NULL, NULL);
  for (int64_t g = 0; g < 80; g++) {
    dataset_sample sample;
    image picture;
    uint8_t pixels[SIZE * SIZE * 3];
    int32_t whole[LENGTH], tokens[LENGTH], places[LENGTH], count;
    rng of_crop = rng_at(3, RNG_CROP, 0, (uint64_t)g),
        of_change = rng_at(3, RNG_AUGMENT, 0, (uint64_t)g);
    assert_ok(dataset_read(f.data, s->rows[g], &sample));
    assert_ok(image_decode(sample.image, sample.image_bytes, 1, &picture));
    assert_ok(image_train_transform(&picture, &crop, &of_crop, SIZE, pixels));
    assert_ok(rand_augment_image(&c.augment, &of_change, SIZE, pixels));
    assert_memory_equal(s->images[g], pixels, sizeof pixels);
    assert_ok(tokenizer_encode(f.words, sample.caption, LENGTH, whole, &count));
    text_mask_draw(&mask, 3, g, whole, count, tokens, places, &count);
    assert_memory_equal(s->tokens[g], tokens, KEPT * sizeof *tokens);
    image_free(&picture);
    dataset_sample_free(&sample);
  }
  free(s);
  unmake(&f);
}

/* Of crops from a tenth of 256 x 256 pixels on, three times as high as wide, the least side is 16 /
 * sqrt(0.1 * 0.3) = 92.4: the picture may be decoded at half its size, 128, and no smaller. */
static void a_jpeg_is_decoded_at_a_scale_that_no_crop_exceeds(void **state) {
  (void)state;
  enum { SIDE = 256, LEAST = 93 };
  fixture f = make(false);
  loader_config c = config_of(&f, 1, 0);
  char folder[96], path[128], *name = folder;
  image picture, decoded;
  uint8_t *bytes, pixels[SIZE * SIZE * 3];
  size_t size;
  dataset *d;
  assert_ok(image_allocate(SIDE, SIDE, &picture));
  rng random = rng_at(1, RNG_TEST, 0, 0);
  for (int p = 0; p < SIDE * SIDE * 3; p++) picture.pixels[p] = (uint8_t)rng_below(&random, 256);
  assert_ok(shrink_encode_jpeg(&picture, &bytes, &size));
  snprintf(folder, sizeof folder, "%s/pictures", f.folder);
  assert_ok(fs_make_folders(folder));
  snprintf(path, sizeof path, "%s/one.jpg", folder);
  assert_ok(fs_write_atomic(path, bytes, size));
  snprintf(path, sizeof path, "%s/one.txt", folder);
  assert_ok(fs_write_atomic(path, "picture", 7));
  assert_ok(dataset_open(&name, 1, &d));
  c.data = d;
  c.crop_min = 0.1, c.crop_max = 0.2, c.ratio_min = 0.3, c.ratio_max = 1;
  const image_augmentation crop = {c.crop_min, c.crop_max, c.ratio_min, c.ratio_max, c.flip};
  batches *s = read_from(&c, 0, NULL, NULL, NULL);
  assert_ok(image_decode(bytes, size, LEAST, &decoded));
  assert_int_equal(decoded.width, SIDE / 2);
  for (int64_t g = 0; g < 80; g++) {
    rng of_crop = rng_at(3, RNG_CROP, 0, (uint64_t)g);
    assert_ok(image_train_transform(&decoded, &crop, &of_crop, SIZE, pixels));
    assert_memory_equal(s->images[g], pixels, sizeof pixels);
  }
  image_free(&decoded);
  image_free(&picture);
  free(bytes);
  free(s);
  dataset_close(d);
  unmake(&f);
}

/* "picture 5 of 23" has one "picture", one "of" and two words that the vocabulary lacks. */
static void a_token_weighs_as_the_root_of_its_rarity(void **state) {
  (void)state;
  fixture f = make(false);
  double *weights;
  assert_ok(text_mask_weigh(f.data, f.words, &weights));
  assert_true(fabs(weights[4] - 1 / sqrt(SAMPLES)) < 1e-12);
  assert_true(fabs(weights[5] - 1 / sqrt(SAMPLES)) < 1e-12);
  assert_true(fabs(weights[1] - 1 / sqrt(2 * SAMPLES)) < 1e-12);
  assert_true(weights[0] == 1); /* padding is not counted, and unseen as rare as seen once */
  free(weights);
  unmake(&f);
}

/* One, two and four workers; from the beginning and from after every batch. */
static void a_stream_is_one_for_any_number_of_workers_and_any_stop(void **state) {
  (void)state;
  static const int64_t buffers[] = {1, 7, SAMPLES, 1000};
  fixture f = make(true);
  dataset *d = open_stream(&f);
  for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++) {
    loader_config c = config_of(&f, 1, 1 << 20);
    c.data = d;
    c.buffer = buffers[k];
    batches *whole = read_all(&c, 0, NULL, NULL);
    for (c.workers = 2; c.workers <= 4; c.workers += 2) {
      batches *other = read_all(&c, 0, NULL, NULL);
      assert_memory_equal(whole, other, sizeof *whole);
      free(other);
    }
    for (int64_t at = 8; at < 80; at += 8) {
      batches *rest = read_from(&c, at, &whole->after[at / 8 - 1], NULL, NULL);
      size_t left = (size_t)(80 - at);
      assert_memory_equal(whole->rows + at, rest->rows + at, left * sizeof *whole->rows);
      assert_memory_equal(whole->images[at], rest->images[at], left * sizeof whole->images[0]);
      assert_memory_equal(whole->tokens[at], rest->tokens[at], left * sizeof whole->tokens[0]);
      assert_memory_equal(whole->after + at / 8, rest->after + at / 8,
                          (left / 8) * sizeof *whole->after);
      free(rest);
    }
    free(whole);
  }
  dataset_close(d);
  unmake(&f);
}

/* What the exact order gives of the same samples, and no sample that it does not. */
static void a_stream_gives_the_samples_of_the_exact_order(void **state) {
  (void)state;
  fixture f = make(false);
  dataset *d = open_stream(&f);
  loader_config c = config_of(&f, 2, 0);
  c.shuffle = false;
  batches *exact = read_all(&c, 0, NULL, NULL);
  c.data = d;
  c.buffer = 4;
  batches *streamed = read_all(&c, 0, NULL, NULL);
  assert_memory_equal(exact->images, streamed->images, sizeof exact->images);
  assert_memory_equal(exact->tokens, streamed->tokens, sizeof exact->tokens);
  free(exact);
  free(streamed);
  dataset_close(d);
  unmake(&f);
}

static void a_bad_sample_of_a_stream_is_replaced_and_named(void **state) {
  (void)state;
  static const int64_t buffers[] = {1, 6, 1000};
  fixture f = make(true);
  dataset *d = open_stream(&f);
  for (size_t k = 0; k < 3; k++) {
    loader_config c = config_of(&f, 3, 0);
    loader_stats stats;
    strbuf warnings = {0};
    c.data = d;
    c.buffer = buffers[k];
    batches *s = read_all(&c, 0, &stats, &warnings);
    /* once in each of the three whole epochs; a buffer of one asks a shard opened twice */
    assert_in_range(stats.skipped, 3, 5);
    assert_non_null(strstr(strbuf_string(&warnings), "train-00000.tar: 0005: not a JPEG"));
    assert_non_null(strstr(strbuf_string(&warnings), "epoch 3 had 23 samples in 3 shards; 0 left"));
    for (int i = 0; i < 80; i++) assert_int_not_equal(s->rows[i], 5);
    strbuf_free(&warnings);
    free(s);
  }
  dataset_close(d);
  unmake(&f);
}

static void a_stream_of_nothing_that_can_be_decoded_says_so(void **state) {
  (void)state;
  fixture f = make(false);
  char command[512];
  dataset *d;
  snprintf(command, sizeof command,
           "cd %s && echo x > a.jpg && echo x > a.txt && cp a.jpg b.jpg && cp a.txt b.txt && "
           "tar cf bad-0.tar a.jpg a.txt && tar cf bad-1.tar b.jpg b.txt",
           f.folder);
  assert_int_equal(system(command), 0);
  snprintf(command, sizeof command, "%s/bad-*.tar", f.folder);
  assert_ok(dataset_open_stream(&(char *){command}, 1, false, &d));
  loader_config c = config_of(&f, 2, 0);
  c.data = d;
  c.buffer = 1;
  loader *l;
  loader_batch b;
  double waited;
  assert_ok(loader_open(&c, 0, &(stream_position){0}, &l));
  assert_fails_with(loader_next(l, &b, &waited), "no sample of the data set can be decoded");
  loader_close(l);
  dataset_close(d);
  unmake(&f);
}

static void closing_in_the_middle_is_clean(void **state) {
  (void)state;
  fixture f = make(false);
  loader_config c = config_of(&f, 3, 0);
  dataset *d = open_stream(&f);
  for (int i = 0; i < 10; i++) {
    if (i == 5) c.data = d;
    c.buffer = 5;
    loader *l;
    loader_batch b;
    double waited;
    assert_ok(loader_open(&c, 0, &(stream_position){0}, &l));
    if (i % 5) assert_ok(loader_next(l, &b, &waited));
    loader_close(l);
  }
  dataset_close(d);
  unmake(&f);
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
      cmocka_unit_test(the_pairs_of_a_group_are_on_one_rank),
      cmocka_unit_test(every_epoch_shows_each_sample_once_in_a_new_order),
      cmocka_unit_test(drawing_with_replacement_reaches_all_of_a_weighted_source),
      cmocka_unit_test(a_bad_sample_is_replaced_counted_and_named_once),
      cmocka_unit_test(neighbours_that_are_bad_are_replaced_by_different_samples),
      cmocka_unit_test(masked_captions_are_the_same_for_any_number_of_workers),
      cmocka_unit_test(a_sample_is_cropped_changed_and_masked_by_its_own_number),
      cmocka_unit_test(a_jpeg_is_decoded_at_a_scale_that_no_crop_exceeds),
      cmocka_unit_test(a_token_weighs_as_the_root_of_its_rarity),
      cmocka_unit_test(a_stream_is_one_for_any_number_of_workers_and_any_stop),
      cmocka_unit_test(a_stream_gives_the_samples_of_the_exact_order),
      cmocka_unit_test(a_bad_sample_of_a_stream_is_replaced_and_named),
      cmocka_unit_test(a_stream_of_nothing_that_can_be_decoded_says_so),
      cmocka_unit_test(closing_in_the_middle_is_clean),
      cmocka_unit_test(shards_are_plain_tars_with_the_same_bytes_each_time),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
