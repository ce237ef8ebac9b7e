/* The streaming order, over shards that are made up: it needs of a shard only how many samples it
 * has (stream_memory.c goes up to 400 million). */
#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "read/permute.h"
#include "read/stream.h"

enum { MOST = 400 };

typedef struct {
  const int *counts; /* NULL: `same` samples each */
  int64_t shards, same;
  int64_t broken;         /* the shard that cannot be opened; -1: none */
  bool is_endless;        /* opening one ends only when that is asked for */
  _Atomic int64_t opened; /* shards opened by the stream */
} made_up;

static int64_t made_up_at(const void *context, uint64_t seed, bool is_shuffled, int64_t epoch,
                          int64_t place) {
  const made_up *m = context;
  return is_shuffled ? permute(seed, epoch, m->shards, place) : place;
}

static err made_up_open(const void *context, int64_t number, const command_stop *stop,
                        stream_shard *out) {
  made_up *m = (made_up *)(uintptr_t)context;
  *out = (stream_shard){.number = number, .count = m->counts ? m->counts[number] : m->same};
  m->opened++;
  while (m->is_endless && !stop->is_asked(stop->context)) usleep(1000);
  if (number == m->broken) return err_new(ERR_IO, "shard %ld is gone", (long)number);
  if (number % 3 == 1) out->left_out = 1;
  if (number % 3 == 1) strbuf_format(&out->lines, "shard %ld: one left out\n", (long)number);
  return NULL;
}

static stream_config config_of(const made_up *m, int64_t buffer, int openers, bool is_shuffled) {
  return (stream_config){.shards = {m, m->shards, 0, made_up_at, made_up_open},
                         .seed = 7,
                         .is_shuffled = is_shuffled,
                         .buffer = buffer,
                         .openers = openers};
}

/* From a place on, `count` samples as shard << 32 | sample; places[i]: the place before sample i.
 */
static void read_some(const stream_config *c, const stream_position *from, int64_t at_a_time,
                      int64_t count, int64_t *samples, stream_position *places) {
  stream *s;
  stream_position place = *from;
  assert_ok(stream_open(c, from, &s));
  for (int64_t i = 0; i < count;) {
    stream_run run;
    assert_ok(stream_take(s, at_a_time, &run));
    for (int64_t j = 0; j < run.count && i < count; j++, i++) {
      bool is_there;
      stream_walk walk = stream_walk_start(s, &run, run.first + j);
      assert_ok(stream_walk_next(&walk, &is_there));
      assert_true(is_there);
      samples[i] = walk.shard->number << 32 | walk.index;
      if (places && at_a_time == 1) places[i] = place;
      stream_walk_end(&walk);
    }
    place = run.after;
    stream_release(s, &run);
  }
  stream_stop(s);
  stream_close(s);
}

static const int counts[] = {5, 0, 7, 1, 0, 12, 3, 5, 0};
enum { SHARDS = sizeof counts / sizeof *counts, SAMPLES = 33 };
static made_up small(void) {
  return (made_up){.counts = counts, .shards = SHARDS, .broken = -1};
}

static void each_sample_occurs_once_in_each_epoch(void **state) {
  (void)state;
  static const int64_t buffers[] = {1, 2, 8, 32, 33, 34, 1000};
  made_up m = small();
  for (size_t b = 0; b < sizeof buffers / sizeof *buffers; b++) {
    int64_t samples[3 * SAMPLES];
    stream_config c = config_of(&m, buffers[b], 2, true);
    read_some(&c, &(stream_position){0}, 8, 3 * SAMPLES, samples, NULL);
    for (int epoch = 0; epoch < 3; epoch++) {
      int seen[SHARDS][12] = {0};
      for (int i = 0; i < SAMPLES; i++) {
        int64_t one = samples[epoch * SAMPLES + i];
        assert_true((one & 0xFFFFFFFF) < counts[one >> 32]);
        assert_int_equal(seen[one >> 32][one & 0xFFFFFFFF]++, 0);
      }
    }
    assert_memory_not_equal(samples, samples + SAMPLES, SAMPLES * sizeof *samples);
  }
}

static void the_order_is_that_of_its_definition(void **state) {
  (void)state;
  made_up m = small();
  int64_t samples[SAMPLES], line[SAMPLES], at = 0;
  stream_config c = config_of(&m, 10, 1, true);
  read_some(&c, &(stream_position){.epoch = 2}, 3, SAMPLES, samples, NULL);
  for (int place = 0; place < SHARDS; place++) { /* written out again from stream.h */
    int64_t number = permute(7, 2, SHARDS, place);
    for (int i = 0; i < counts[number]; i++) line[at++] = number << 32 | i;
  }
  for (int64_t first = 0, block = 0; first < SAMPLES; first += 10, block++) {
    int64_t size = SAMPLES - first < 10 ? SAMPLES - first : 10;
    for (int64_t i = 0; i < size; i++)
      assert_int_equal(
          samples[first + i],
          line[first + permute(7, INT64_C(1) << 62 | INT64_C(2) << 38 | block, size, i)]);
  }
}

static void unshuffled_samples_keep_their_order(void **state) {
  (void)state;
  made_up m = small();
  int64_t samples[SAMPLES], i = 0;
  stream_config c = config_of(&m, 10, 3, false);
  read_some(&c, &(stream_position){0}, 4, SAMPLES, samples, NULL);
  for (int64_t number = 0; number < SHARDS; number++)
    for (int j = 0; j < counts[number]; j++) assert_int_equal(samples[i++], number << 32 | j);
}

static void openers_and_runs_change_nothing(void **state) {
  (void)state;
  made_up m = small();
  int64_t one[MOST], other[MOST];
  for (int64_t buffer = 1; buffer < 40; buffer += 6) {
    stream_config c = config_of(&m, buffer, 1, true), four = config_of(&m, buffer, 4, true);
    read_some(&c, &(stream_position){0}, 1, MOST, one, NULL);
    read_some(&four, &(stream_position){0}, 8, MOST, other, NULL);
    assert_memory_equal(one, other, sizeof one);
  }
}

static void it_resumes_from_every_position(void **state) {
  (void)state;
  static const int64_t buffers[] = {1, 5, 33, 100};
  made_up m = small();
  for (size_t b = 0; b < sizeof buffers / sizeof *buffers; b++) {
    int64_t whole[3 * SAMPLES], rest[3 * SAMPLES];
    stream_position places[3 * SAMPLES];
    stream_config c = config_of(&m, buffers[b], 2, true);
    read_some(&c, &(stream_position){0}, 1, 3 * SAMPLES, whole, places);
    for (int64_t i = 0; i < 3 * SAMPLES; i++) {
      char text[STREAM_POSITION_SIZE];
      stream_position read;
      stream_position_write(&places[i], text); /* as a checkpoint has it */
      assert_ok(stream_position_read(text, &read));
      read_some(&c, &read, 8, 3 * SAMPLES - i, rest, NULL);
      assert_memory_equal(rest, whole + i, (size_t)(3 * SAMPLES - i) * sizeof *rest);
    }
  }
}

/* Going on late in an epoch opens the shards of the block, not those of the epoch. */
static void resuming_opens_only_the_needed_shards(void **state) {
  (void)state;
  made_up m = {.shards = 10000, .same = 50, .broken = -1};
  stream_config c = config_of(&m, 200, 2, true);
  stream_position late = {.shard = 9000, .sample = 17, .before = 450017, .place = 150};
  int64_t samples[8];
  read_some(&c, &late, 8, 8, samples, NULL);
  assert_in_range(m.opened, 5, 14); /* block and one ahead: 5 each; two openers beyond */
}

static void few_shards_are_open_at_a_time(void **state) {
  (void)state;
  made_up m = {.shards = 3000, .same = 20, .broken = -1};
  stream_config c = config_of(&m, 100, 2, true);
  stream *s;
  int64_t most = 0;
  assert_ok(stream_open(&c, &(stream_position){0}, &s));
  for (int64_t i = 0; i < 70000;) {
    stream_run run;
    assert_ok(stream_take(s, 8, &run));
    i += run.count;
    if (stream_open_shards(s) > most) most = stream_open_shards(s);
    stream_release(s, &run);
  }
  assert_in_range(most, 5, 20);
  stream_stop(s);
  stream_close(s);
}

static void an_epoch_that_ends_is_counted(void **state) {
  (void)state;
  made_up m = small();
  stream_config c = config_of(&m, 8, 2, true);
  c.shards.expected = 40;
  strbuf lines = {0}, remarks = {0};
  stream *s;
  size_t count = 0;
  assert_ok(stream_open(&c, &(stream_position){0}, &s));
  for (int64_t i = 0; i < SAMPLES;) {
    stream_run run;
    assert_ok(stream_take(s, 8, &run));
    i += run.count;
    stream_release(s, &run);
    count += stream_take_lines(s, &lines, &remarks);
  }
  assert_int_equal(count, 3);
  assert_non_null(strstr(strbuf_string(&lines), "shard 7: one left out\n"));
  assert_string_equal(strbuf_string(&remarks),
                      "epoch 1 had 33 samples in 9 shards, but the counts next to the shards give "
                      "40; 3 left out\n");
  stream_stop(s);
  stream_close(s);
  strbuf_free(&lines);
  strbuf_free(&remarks);
}

static err take_all(const stream_config *c, const stream_position *from, int64_t count) {
  stream *s;
  err error = stream_open(c, from, &s);
  if (error) return error;
  for (int64_t i = 0; i < count && !error;) {
    stream_run run;
    error = stream_take(s, 8, &run);
    if (error) break;
    i += run.count;
    stream_release(s, &run);
  }
  stream_stop(s);
  stream_close(s);
  return error;
}

static void errors_are_reported(void **state) {
  (void)state;
  static const int none[] = {0, 0, 0};
  made_up m = small(), empty = {.counts = none, .shards = 3, .broken = -1};
  stream_config c = config_of(&m, 8, 2, true), e = config_of(&empty, 8, 2, true);
  stream_position p;
  m.broken = 5;
  assert_fails_with(take_all(&c, &(stream_position){0}, SAMPLES), "shard 5 is gone");
  m.broken = -1;
  assert_fails_with(take_all(&e, &(stream_position){0}, 1), "no samples in the shards");
  assert_fails_with(take_all(&c, &(stream_position){.shard = 9}, 1), "in shard 10 of the epoch");
  assert_fails_with(take_all(&c, &(stream_position){.sample = 13}, 1), "the shard has changed");
  assert_fails_with(take_all(&c, &(stream_position){.place = 8}, 1), "the shards have changed");
  assert_fails_with(stream_position_read("epoch=1 shard=2", &p), "is not a position in data.order");
  assert_fails_with(
      stream_position_read("epoch=1 shard=-2 sample=0 before=0 left_out=0 place=0", &p),
      "is not a position in data.order");
}

/* A sample that cannot be decoded: some of the block, then all of the epoch's shards. */
static void a_walk_visits_every_sample_of_the_epoch(void **state) {
  (void)state;
  made_up m = small();
  stream_config c = config_of(&m, 4, 1, true);
  int seen[SHARDS][12] = {0};
  stream *s;
  stream_run run;
  bool is_there = true;
  assert_ok(stream_open(&c, &(stream_position){0}, &s));
  assert_ok(stream_take(s, 8, &run));
  stream_walk walk = stream_walk_start(s, &run, 2);
  for (;;) {
    assert_ok(stream_walk_next(&walk, &is_there));
    if (!is_there) break;
    atomic_store(&walk.shard->is_bad[walk.index], true);
    seen[walk.shard->number][walk.index]++;
  }
  for (int number = 0; number < SHARDS; number++)
    for (int i = 0; i < counts[number]; i++) assert_in_range(seen[number][i], 1, 2);
  stream_walk_end(&walk);
  stream_release(s, &run);
  stream_stop(s);
  stream_close(s);
}

/* The walk of a sample whose shard holds nothing that can be decoded. */
static int64_t replacement_of(stream *s, const stream_run *run, int64_t place, int64_t bad) {
  bool is_there = true;
  stream_walk walk = stream_walk_start(s, run, place);
  for (;;) {
    assert_ok(stream_walk_next(&walk, &is_there));
    assert_true(is_there);
    if (walk.shard->number >= bad) break;
    atomic_store(&walk.shard->is_bad[walk.index], true);
  }
  int64_t found = walk.shard->number << 32 | walk.index;
  assert_true(stream_walk_has_moved(&walk));
  stream_walk_end(&walk);
  return found;
}

/* Six shards of nothing, then good ones: each bad sample gets one of its own, and the shards that
 * stand in are opened once, not once for each sample. */
static void a_shard_of_bad_samples_is_replaced_by_many(void **state) {
  (void)state;
  enum { COUNT = 1000, BAD = 6 };
  made_up m = {.shards = 20, .same = COUNT, .broken = -1};
  stream_config c = config_of(&m, COUNT, 1, false);
  stream *s;
  int seen[COUNT] = {0}, most = 0;
  assert_ok(stream_open(&c, &(stream_position){0}, &s));
  for (int64_t i = 0; i < COUNT;) {
    stream_run run;
    assert_ok(stream_take(s, 8, &run));
    for (int64_t j = 0; j < run.count; j++, i++) {
      int64_t found = replacement_of(s, &run, run.first + j, BAD);
      assert_int_equal(found >> 32, BAD);
      int times = ++seen[found & 0xFFFFFFFF];
      if (times > most) most = times;
    }
    stream_release(s, &run);
  }
  assert_in_range(most, 1, 10); /* of a thousand draws among a thousand: five or six */
  assert_in_range(m.opened, BAD, 2 * BAD);
  stream_stop(s);
  stream_close(s);
}

static void closing_waits_for_no_shard(void **state) {
  (void)state;
  made_up m = {.shards = 4, .same = 5, .broken = -1, .is_endless = true};
  stream_config c = config_of(&m, 10, 2, true);
  stream *s;
  assert_ok(stream_open(&c, &(stream_position){0}, &s));
  while (m.opened < 2) usleep(1000);
  stream_stop(s);
  stream_close(s);
}

static void the_memory_does_not_grow_with_the_samples(void **state) {
  (void)state;
#if defined(__has_feature) /* clang's name for what gcc defines a macro for */
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define __SANITIZE_THREAD__
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  skip(); /* a sanitizer's own memory grows with what is done */
#endif
  uint64_t peaks[2];
  for (int i = 0; i < 2; i++) {
    made_up m = {.shards = i ? 400 : 4, .same = 5000, .broken = -1};
    stream_config c = config_of(&m, 10000, 2, true);
    assert_ok(take_all(&c, &(stream_position){0}, m.shards * m.same));
    peaks[i] = mem_peak_bytes();
  }
  assert_true(peaks[1] < peaks[0] + (2 << 20)); /* an index of two million is 48 MB */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_memory_does_not_grow_with_the_samples),
      cmocka_unit_test(each_sample_occurs_once_in_each_epoch),
      cmocka_unit_test(the_order_is_that_of_its_definition),
      cmocka_unit_test(unshuffled_samples_keep_their_order),
      cmocka_unit_test(openers_and_runs_change_nothing),
      cmocka_unit_test(it_resumes_from_every_position),
      cmocka_unit_test(resuming_opens_only_the_needed_shards),
      cmocka_unit_test(few_shards_are_open_at_a_time),
      cmocka_unit_test(an_epoch_that_ends_is_counted),
      cmocka_unit_test(errors_are_reported),
      cmocka_unit_test(closing_waits_for_no_shard),
      cmocka_unit_test(a_shard_of_bad_samples_is_replaced_by_many),
      cmocka_unit_test(a_walk_visits_every_sample_of_the_epoch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
