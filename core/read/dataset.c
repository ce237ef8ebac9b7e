#include "read/dataset.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "read/permute.h"
#include "read/shard_list.h"
#include "read/source.h"

enum { NAMED_LEFT_OUT = 20 };
static const size_t most_hashed_bytes = (size_t)4 << 30;

/* A source, its first row and its first position in an epoch. */
typedef struct {
  data_source *source;
  int64_t first_row, first_place, places;
} part;

struct dataset {
  shard_list *shards; /* of the streaming order; there are no parts then */
  part *parts;
  size_t part_count;
  int64_t count, epoch, left_out;
  char fingerprint[HASH_SIZE];
  strbuf warnings;
};

static void add_part(dataset *d, data_source *source) {
  int64_t places = llround((double)source->count * source->weight);
  if (places < 1 && source->count) places = 1;
  d->parts[d->part_count++] = (part){source, d->count, d->epoch, places};
  d->count += source->count;
  d->epoch += places;
  d->left_out += source->left_out.count;
  strbuf_append(&d->warnings, strbuf_string(&source->damage));
  strbuf_append(&d->warnings, strbuf_string(&source->notes));
  if (source->damage.is_broken || source->notes.is_broken || source->left_out.records.is_broken)
    d->warnings.is_broken = true;
}

/* The first lines about skipped samples, over all sources. */
static void name_left_out(dataset *d) {
  left_out_sample one;
  int64_t named = 0;
  for (size_t i = 0; i < d->part_count; i++) {
    const left_out_list *list = &d->parts[i].source->left_out;
    for (size_t at = 0; named < NAMED_LEFT_OUT && left_out_next(list, &at, &one); named++)
      left_out_line(&one, &d->warnings);
  }
  if (d->left_out > NAMED_LEFT_OUT)
    strbuf_format(&d->warnings, "… and %ld more %s skipped\n", (long)(d->left_out - NAMED_LEFT_OUT),
                  text_plural(d->left_out - NAMED_LEFT_OUT, "sample", "samples"));
}

static err take_fingerprint(dataset *d) {
  uint64_t total = 0;
  err error = NULL;
  hash_state *state = hash_begin();
  if (!state) return mem_error(0, "a fingerprint");
  for (size_t i = 0; i < d->part_count; i++) total += d->parts[i].source->bytes;
  for (size_t i = 0; i < d->part_count && !error; i++) {
    const data_source *s = d->parts[i].source;
    if (s->weight != 1) hash_add(state, &s->weight, sizeof s->weight);
    error = s->call->hash(s, total <= most_hashed_bytes, state);
  }
  hash_finish(state, d->fingerprint);
  return error;
}

/* Weights are of the order in which a run draws its samples. */
static err refuse_weight(const data_source *s, const char *name) {
  if (s->weight == 1) return NULL;
  return err_new(ERR_INPUT,
                 "%s: weight has an effect in data.train only, and this reads each sample once: "
                 "remove it",
                 name);
}

typedef enum { READS_ALL = 1, FINGERPRINT = 2, PIPES = 4 } open_flags;

static err open_all(char *const *names, size_t count, dataset_parts needs, int flags,
                    dataset **out) {
  dataset *d = mem_zeroed(1, sizeof *d);
  if (!d) return mem_error(sizeof *d, "a data set");
  err error = NULL;
  d->parts = mem_zeroed(count, sizeof *d->parts);
  if (!d->parts) FAIL(ERR_MEMORY, "out of memory: a data set");
  for (size_t i = 0; i < count; i++) {
    data_source *source = NULL;
    TRY(source_open(names[i], needs, flags & PIPES, !(flags & READS_ALL), &source));
    add_part(d, source);
    if (flags & READS_ALL) TRY(source_refuse_endless(source, names[i]));
    if (flags & READS_ALL) TRY(refuse_weight(source, names[i]));
  }
  name_left_out(d);
  if (flags & FINGERPRINT) TRY(take_fingerprint(d));
  if (d->warnings.is_broken) FAIL(ERR_MEMORY, "out of memory: warnings");
cleanup:
  if (error)
    dataset_close(d);
  else
    *out = d;
  return error;
}

err dataset_open(char *const *names, size_t count, dataset **out) {
  return open_all(names, count, DATASET_PAIR, FINGERPRINT, out);
}

err dataset_open_for(char *const *names, size_t count, dataset_parts needs, dataset **out) {
  return open_all(names, count, needs, FINGERPRINT | READS_ALL, out);
}

err dataset_open_to_read(char *const *names, size_t count, dataset_parts needs, dataset **out) {
  return open_all(names, count, needs, READS_ALL, out);
}

err dataset_open_with(char *const *names, size_t count, bool allows_pipes, dataset **out) {
  return open_all(names, count, DATASET_PAIR, FINGERPRINT | (allows_pipes ? PIPES : 0), out);
}

err dataset_open_stream(char *const *names, size_t count, bool allows_pipes, dataset **out) {
  dataset *d = mem_zeroed(1, sizeof *d);
  if (!d) return mem_error(sizeof *d, "a data set");
  err error = shard_list_open(names, count, allows_pipes, most_hashed_bytes, &d->shards);
  if (error) {
    dataset_close(d);
    return error;
  }
  d->count = shard_list_samples(d->shards, NULL);
  d->epoch = shard_list_epoch(d->shards);
  snprintf(d->fingerprint, sizeof d->fingerprint, "%s", shard_list_fingerprint(d->shards));
  *out = d;
  return NULL;
}

const shard_list *dataset_shards(const dataset *d) {
  return d->shards;
}

void dataset_close(dataset *d) {
  if (!d) return;
  shard_list_close(d->shards);
  for (size_t i = 0; i < d->part_count; i++) source_close(d->parts[i].source);
  free(d->parts);
  strbuf_free(&d->warnings);
  free(d);
}

int64_t dataset_count(const dataset *d) {
  return d->count;
}

int64_t dataset_epoch(const dataset *d) {
  return d->epoch;
}

int64_t dataset_row(const dataset *d, uint64_t seed, bool is_shuffled, int64_t epoch,
                    int64_t place) {
  size_t i = 0;
  while (i + 1 < d->part_count && place >= d->parts[i + 1].first_place) i++;
  const part *p = &d->parts[i];
  return p->first_row + permute_weighted(seed + i, is_shuffled, epoch, p->source->count, p->places,
                                         place - p->first_place);
}

void dataset_explain_weights(const dataset *d, char *const *names, strbuf *out) {
  for (size_t i = 0; i < d->part_count; i++) {
    const data_source *s = d->parts[i].source;
    const double wanted = (double)s->count * s->weight, got = (double)d->parts[i].places;
    if (!s->count || fabs(got - wanted) <= 0.01 * wanted) continue;
    strbuf_format(out,
                  "%s: an epoch has a whole number of its %" PRId64 " %s: %" PRId64
                  ", as with weight %.3g\n",
                  names[i], s->count, text_plural(s->count, "sample", "samples"),
                  d->parts[i].places, got / (double)s->count);
  }
}

const char *dataset_fingerprint(const dataset *d) {
  return d->fingerprint;
}

bool dataset_may_have_other_texts(const dataset *d, bool is_json) {
  bool may_have = false;
  for (size_t i = 0; i < d->part_count; i++) {
    const data_source *s = d->parts[i].source;
    may_have = may_have || (is_json ? s->has_json_files : s->picks_captions);
  }
  return may_have;
}

const char *dataset_warnings(const dataset *d, int64_t *left_out) {
  if (left_out) *left_out = d->left_out;
  return strbuf_string(&d->warnings);
}

void dataset_each_left_out(const dataset *d,
                           void (*take)(void *context, const left_out_sample *one), void *context) {
  left_out_sample one;
  for (size_t i = 0; i < d->part_count; i++)
    for (size_t at = 0; left_out_next(&d->parts[i].source->left_out, &at, &one);)
      take(context, &one);
}

static err read_row(const dataset *d, int64_t row, bool has_image, dataset_sample *out) {
  *out = (dataset_sample){0};
  if (row < 0 || row >= d->count || d->shards)
    return err_new(ERR_INTERNAL, "row %ld of a data set", (long)row);
  size_t i = 0;
  while (i + 1 < d->part_count && row >= d->parts[i + 1].first_row) i++;
  const part *p = &d->parts[i];
  err error = p->source->call->read(p->source, row - p->first_row, has_image, out);
  if (!error) return NULL;
  dataset_sample named = {.shard = out->shard,
                          .key = out->key,
                          .owned_key = out->owned_key,
                          .key_is_path = out->key_is_path};
  out->owned_key = NULL;
  dataset_sample_free(out);
  *out = named;
  return error;
}

err dataset_read(const dataset *d, int64_t row, dataset_sample *out) {
  return read_row(d, row, true, out);
}

err dataset_read_text(const dataset *d, int64_t row, dataset_sample *out) {
  return read_row(d, row, false, out);
}

void dataset_append_name(const dataset_sample *sample, strbuf *out) {
  if (!sample->key_is_path) strbuf_format(out, "%s/", sample->shard);
  strbuf_append(out, sample->key);
}

void dataset_sample_free(dataset_sample *sample) {
  free(sample->caption);
  free(sample->json);
  free(sample->owned_key);
  free(sample->owned);
  *sample = (dataset_sample){0};
}
