/* The memory of the streaming order, by hand (docs/data.md):
 *   stream_memory simulate SAMPLES           one epoch of made-up shards: the order's state alone
 *   stream_memory write FOLDER SAMPLES       tiny samples of three members, 10,000 a shard
 *   stream_memory read FOLDER stream|exact SAMPLES   so many of them through the loader */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/settings.h"
#include "image/image.h"
#include "image/shrink.h"
#include "read/loader.h"
#include "read/permute.h"
#include "read/shard_writer.h"

enum { SHARD = 10000, BUFFER = 10000, BATCH = 1000 };

static int64_t made_up_at(const void *context, uint64_t seed, bool is_shuffled, int64_t epoch,
                          int64_t place) {
  return is_shuffled ? permute(seed, epoch, *(const int64_t *)context, place) : place;
}

static err made_up_open(const void *context, int64_t number, const command_stop *stop,
                        stream_shard *out) {
  (void)context;
  (void)stop;
  *out = (stream_shard){.number = number, .count = SHARD};
  return NULL;
}

/* A line of /proc/self/status in MB. */
static double status_of(const char *key) {
  char line[128];
  double value = 0;
  FILE *file = fopen("/proc/self/status", "re");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, key, strlen(key)) == 0) value = atof(line + strlen(key)) * 1024 / 1e6;
  if (file) fclose(file);
  return value;
}

static void print_memory(const char *what, int64_t samples, double start) {
  printf("%s: %ld samples, %.1f s; at most %.1f MB resident; now %.1f MB of its own, %.1f MB of "
         "mapped shards\n",
         what, (long)samples, clock_seconds() - start, status_of("VmHWM:"), status_of("RssAnon:"),
         status_of("RssFile:"));
}

static err simulate(int64_t samples) {
  int64_t shards = samples / SHARD > 0 ? samples / SHARD : 1;
  stream_config c = {{&shards, shards, 0, made_up_at, made_up_open}, 7, true, BUFFER, 1};
  double start = clock_seconds();
  stream *s = NULL;
  err error = stream_open(&c, &(stream_position){0}, &s);
  for (int64_t i = 0; i < shards * SHARD && !error;) {
    stream_run run;
    error = stream_take(s, 8, &run);
    if (error) break;
    i += run.count;
    stream_release(s, &run);
  }
  if (!error) print_memory("simulated", shards * SHARD, start);
  stream_close(s);
  return error;
}

static err write_shards(const char *folder, int64_t samples) {
  char prefix[512];
  image picture = {0};
  uint8_t *bytes = NULL;
  size_t size;
  shard_writer *w = NULL;
  int64_t shards;
  err error = NULL;
  snprintf(prefix, sizeof prefix, "%s/tiny", folder);
  TRY(image_allocate(8, 8, &picture));
  for (int i = 0; i < 8 * 8 * 3; i++) picture.pixels[i] = (uint8_t)(i * 7);
  TRY(shrink_encode_png(&picture, &bytes, &size));
  TRY(shard_writer_open(prefix, SHARD, &w));
  for (int64_t i = 0; i < samples; i++) {
    char key[32], caption[48];
    snprintf(key, sizeof key, "%09ld", (long)i);
    snprintf(caption, sizeof caption, "picture %ld", (long)i);
    TRY(shard_writer_add(w, key, "png", bytes, size, caption, "{}"));
  }
  TRY(shard_writer_finish(w, &shards));
cleanup:
  if (w) shard_writer_close(w);
  free(bytes);
  image_free(&picture);
  return error;
}

static err read_shards(const char *folder, bool is_stream, int64_t count) {
  char pattern[512], vocabulary[512];
  char *names[] = {pattern};
  dataset *d = NULL;
  tokenizer *words = NULL;
  loader *l = NULL;
  loader_batch batch;
  double waited, start = clock_seconds();
  int64_t batch_size = count < BATCH ? count : BATCH;
  err error = NULL;
  snprintf(pattern, sizeof pattern, "%s/tiny-*.tar", folder);
  snprintf(vocabulary, sizeof vocabulary, "%s/vocab.txt", folder);
  FILE *file = fopen(vocabulary, "we");
  if (!file || fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\npicture\n", file) < 0 || fclose(file) != 0)
    FAIL(ERR_IO, "%s: cannot be written", vocabulary);
  TRY(tokenizer_open(TOKENIZER_WORDPIECE, SPECIAL_TOKENS_NONE, vocabulary, &words));
  TRY(is_stream ? dataset_open_stream(names, 1, false, &d) : dataset_open(names, 1, &d));
  const loader_config c = {.data = d,
                           .words = words,
                           .batch_size = batch_size,
                           .image_size = 8,
                           .text_length = 4,
                           .text_tokens = 4,
                           .total_samples = count / batch_size * batch_size,
                           .crop_min = 1,
                           .crop_max = 1,
                           .ratio_min = 1,
                           .ratio_max = 1,
                           .shuffle = true,
                           .workers = 2,
                           .prefetch = 2,
                           .buffer = BUFFER};
  TRY(loader_open(&c, 0, &(stream_position){0}, &l));
  for (int64_t i = 0; i < c.total_samples; i += c.batch_size) TRY(loader_next(l, &batch, &waited));
  print_memory(is_stream ? "stream" : "exact", c.total_samples, start);
cleanup:
  loader_close(l);
  dataset_close(d);
  if (words) tokenizer_close(words);
  return error;
}

int main(int argc, char **argv) {
  err error = err_new(ERR_INPUT, "simulate SAMPLES | write FOLDER SAMPLES | read FOLDER "
                                 "stream|exact SAMPLES");
  bool is_simulation = argc == 3 && strcmp(argv[1], "simulate") == 0;
  bool is_writing = argc == 4 && strcmp(argv[1], "write") == 0;
  bool is_reading = argc == 5 && strcmp(argv[1], "read") == 0;
  if (is_simulation || is_writing || is_reading) err_free(error);
  if (is_simulation) error = simulate(atoll(argv[2]));
  if (is_writing) error = write_shards(argv[2], atoll(argv[3]));
  if (is_reading) error = read_shards(argv[2], strcmp(argv[3], "stream") == 0, atoll(argv[4]));
  if (!error) return 0;
  fprintf(stderr, "stream_memory: %s\n", err_message(error));
  err_free(error);
  return 1;
}
