/* WebDataset shards, and pipes whose output is one. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "read/in_order.h"
#include "read/shard_expand.h"
#include "read/shard_sample.h"
#include "read/source.h"

enum { OPENED_AT_ONCE = 16 };

typedef struct {
  data_source base;
  shard *shards;
  size_t shard_count;
  size_t *firsts; /* [shard_count] row of each shard's first sample */
  shard_reading reading;
  shard_notes notes;
} shards_source;

static err collect_rows(shards_source *s) {
  s->firsts = mem_zeroed(s->shard_count, sizeof *s->firsts);
  if (!s->firsts) return mem_error(s->shard_count * sizeof *s->firsts, "a data set's index");
  for (size_t i = 0; i < s->shard_count; i++) {
    err error = shard_leave_out_lacking(&s->shards[i], &s->reading, &s->base.left_out);
    if (error) return error;
    s->firsts[i] = (size_t)s->base.count;
    s->base.count += (int64_t)s->shards[i].count;
  }
  return NULL;
}

/* The shard that holds a row: the last one that does not begin after it. */
static size_t shard_of(const shards_source *s, size_t row) {
  size_t low = 0, high = s->shard_count;
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (s->firsts[middle] <= row)
      low = middle;
    else
      high = middle;
  }
  return low;
}

static err read_row(const data_source *base, int64_t row, bool has_image, dataset_sample *out) {
  const shards_source *s = (const shards_source *)base;
  size_t which = shard_of(s, (size_t)row), i = (size_t)row - s->firsts[which];
  return shard_sample_read(&s->shards[which], i, &s->reading, has_image, out);
}

static err hash_shards(const data_source *base, bool has_bytes, hash_state *state) {
  const shards_source *s = (const shards_source *)base;
  for (size_t i = 0; i < s->shard_count; i++) {
    const shard *one = &s->shards[i];
    hash_add(state, fs_name(one->path), strlen(fs_name(one->path)) + 1);
    hash_add(state, &one->size, sizeof one->size);
    if (!one->size) continue;
    if (has_bytes)
      hash_add(state, one->map, one->size);
    else
      shard_hash_places(one, state);
  }
  return NULL;
}

static void close_shards(data_source *base) {
  shards_source *s = (shards_source *)base;
  for (size_t i = 0; i < s->shard_count; i++) shard_close(&s->shards[i]);
  free(s->shards);
  free(s->firsts);
  free(s->reading.caption_field);
  shard_notes_free(&s->notes);
  free(s);
}

static const source_calls shards_calls = {read_row, hash_shards, close_shards};

static err create(const source_request *r, size_t shards, shards_source **out) {
  const char *field = source_option(r, "caption");
  shards_source *s = mem_zeroed(1, sizeof *s);
  if (!s) return mem_error(sizeof *s, "a data set");
  s->base.call = &shards_calls;
  s->base.needs = s->reading.needs = r->needs;
  s->base.picks_captions = field != NULL;
  s->shards = mem_zeroed(shards, sizeof *s->shards);
  s->reading.caption_field = field ? mem_copy_string(field) : NULL;
  *out = s;
  return s->shards && (s->reading.caption_field || !field)
             ? NULL
             : mem_error(shards * sizeof *s->shards, "a data set");
}

/* What indexing the shards came upon, in the source's own lists. */
static void take_notes(const source_request *r, shards_source *s) {
  strbuf_append(&s->base.damage, strbuf_string(&s->notes.warnings));
  shard_notes_summary(&s->notes, r->whole, &s->base.notes);
  if (!(r->needs & DATASET_IMAGE)) return; /* nothing is lost to a task that needs no image */
  left_out_append(&s->base.left_out, &s->notes.lost);
}

static err check_caption_field(const source_request *r, const shards_source *s) {
  caption_search search = {0};
  err error = NULL;
  if (!s->reading.caption_field) return NULL;
  for (size_t i = 0; i < s->shard_count && !error && !caption_search_is_over(&search); i++)
    error = caption_search_in(&s->shards[i], &s->reading, &search);
  return caption_search_end(&search, error, &s->reading, r->whole);
}

static err finish(const source_request *r, shards_source *s, err error, data_source **out) {
  for (size_t i = 0; i < s->shard_count; i++) s->base.bytes += s->shards[i].size;
  if (!error) take_notes(r, s);
  if (!error) error = check_caption_field(r, s);
  if (!error) error = collect_rows(s);
  if (error)
    source_close(&s->base);
  else
    *out = &s->base;
  return error;
}

/* Shards that are opened by all threads. */
typedef struct {
  char *const *paths;
  shards_source *to;
} opening;

typedef struct {
  shard one;
  shard_notes notes;
  err error;
} opened;

static void open_one(void *context, int64_t i, void *place) {
  opened *o = place;
  o->error = shard_open(((const opening *)context)->paths[i], &o->one, &o->notes);
}

static err take_one(void *context, int64_t i, void *place) {
  (void)i;
  shards_source *s = ((const opening *)context)->to;
  opened *o = place;
  err error = o->error;
  o->error = NULL;
  shard_notes_add(&s->notes, &o->notes);
  if (error) return error;
  s->shards[s->shard_count++] = o->one;
  o->one = (shard){0};
  return NULL;
}

static void release_one(void *place) {
  opened *o = place;
  shard_close(&o->one);
  shard_notes_free(&o->notes);
  err_free(o->error);
}

/* All are mapped at once. Threads and memory need maps too, and end the process where there are
 * none. */
static err check_maps(const source_request *r, size_t count) {
  enum { OTHER_MAPS = 2000 };
  char *text = NULL;
  size_t length;
  int64_t most = INT64_MAX;
  err_free(fs_read("/proc/sys/vm/max_map_count", &text, &length)); /* not there: no limit known */
  if (text && !text_read_whole(text, &most)) most = INT64_MAX;
  free(text);
  if ((int64_t)count + OTHER_MAPS <= most) return NULL;
  return err_new(ERR_INPUT,
                 "%s: %zu shards, but a process can map %ld files here (vm.max_map_count; %d are "
                 "for other uses): use %slarger shards, or raise it with sysctl",
                 r->whole, count, (long)most, OTHER_MAPS,
                 r->is_trained_on ? "data.order: stream, " : "");
}

err source_open_shards(const source_request *r, data_source **out) {
  char **paths = NULL;
  size_t count = 0;
  shards_source *s = NULL;
  err error = shard_expand(&(char *){r->location}, 1, &paths, &count);
  if (error) return error;
  if (!count) return err_new(ERR_INPUT, "%s: matches no shards", r->whole);
  error = check_maps(r, count);
  if (!error) error = create(r, count, &s);
  opening context = {paths, s};
  const in_order_work work = {&context, (int64_t)count, OPENED_AT_ONCE, sizeof(opened),
                              open_one, take_one,       release_one};
  if (!error) error = in_order(&work);
  fs_free_names(paths, count);
  return s ? finish(r, s, error, out) : error;
}

static bool is_interrupted(const void *unused) {
  (void)unused;
  return interrupt_is_requested();
}

err source_open_pipe(const source_request *r, data_source **out) {
  char **commands = NULL, **names = NULL;
  size_t count = 0;
  shards_source *s = NULL;
  const command_stop stop = {is_interrupted, NULL}; /* nothing is lost yet */
  err error = source_refuse_pipe(r);
  if (!error) error = shard_expand_commands(r->location, r->whole, &commands, &names, &count);
  if (error) return error;
  error = create(r, count, &s);
  for (size_t i = 0; i < count && !error; i++) {
    error = shard_open_command(commands[i], names[i], &stop, &s->shards[i], &s->notes);
    if (!error) s->shard_count++;
  }
  fs_free_names(commands, count);
  fs_free_names(names, count);
  return s ? finish(r, s, error, out) : error;
}
