#include "read/shard_list.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/fs.h"
#include "base/mem.h"
#include "read/permute.h"
#include "read/shard_expand.h"
#include "read/source.h"

enum { END_BYTES = 4096, NAMED_LEFT_OUT = 3 };
/* Larger shards are not read ahead completely: they would evict each other from the page cache. */
static const off_t most_read_ahead = (off_t)2 << 30;

typedef struct {
  char *name, *command; /* command: of a pipe, else NULL */
  uint64_t size;
  int64_t samples; /* from a file next to it; -1: not known */
  size_t source;
  _Atomic uint64_t seen; /* hash of its index when it was first opened; 0: not yet */
} listed;

/* A source, its first shard and its first position in an epoch. */
typedef struct {
  shard_reading reading;
  double weight;
  int64_t first, first_place, places;
} listed_source;

struct shard_list {
  listed *shards;
  size_t count, capacity;
  listed_source *sources;
  size_t source_count;
  int64_t places, samples, epoch;
  const char *uncounted;
  bool has_pipes;
  char fingerprint[HASH_SIZE];
};

static err add_shard(shard_list *l, const char *name, const char *command) {
  if (l->count == l->capacity) {
    size_t larger = l->capacity ? 2 * l->capacity : 64;
    listed *shards = mem_resize(l->shards, larger, sizeof *shards);
    if (!shards) return mem_error(larger * sizeof *shards, "a list of shards");
    l->shards = shards;
    l->capacity = larger;
  }
  listed *one = &l->shards[l->count];
  *one = (listed){.name = mem_copy_string(name),
                  .command = command ? mem_copy_string(command) : NULL,
                  .samples = -1,
                  .source = l->source_count};
  l->count++;
  return one->name && (one->command || !command) ? NULL : mem_error(strlen(name), "a shard");
}

static err add_names(shard_list *l, const source_request *r, bool is_pipe) {
  char **locations = NULL, **names = NULL;
  size_t count = 0;
  err error = is_pipe ? source_refuse_pipe(r) : NULL;
  if (!error)
    error = is_pipe ? shard_expand_commands(r->location, r->whole, &locations, &names, &count)
                    : shard_expand(&(char *){r->location}, 1, &locations, &count);
  if (!error && !count) error = err_new(ERR_INPUT, "%s: matches no shards", r->whole);
  for (size_t i = 0; i < count && !error; i++)
    error = add_shard(l, is_pipe ? names[i] : locations[i], is_pipe ? locations[i] : NULL);
  if (locations) fs_free_names(locations, count);
  if (names) fs_free_names(names, count);
  return error;
}

/* The source's positions in an epoch: its shards times its weight. */
static err add_places(shard_list *l, const source_request *r, listed_source *s) {
  double wanted = s->weight * (double)((int64_t)l->count - s->first);
  s->places = llround(wanted);
  if (s->places < 1 || fabs((double)s->places - wanted) > 0.01 * wanted)
    return err_new(ERR_INPUT,
                   "%s: weight %g of %ld %s is not a whole number of shards, and data.order: "
                   "stream repeats whole shards; split the data into more shards, choose another "
                   "weight, or use data.order: exact",
                   r->whole, s->weight, (long)((int64_t)l->count - s->first),
                   text_plural((int64_t)l->count - s->first, "shard", "shards"));
  s->first_place = l->places;
  l->places += s->places;
  return NULL;
}

/* Opens a source's first shards to look for the field in their samples, as the exact order does. A
 * pipe is looked at when its first shard is opened. */
static err check_caption_field(const shard_list *l, const char *name, const listed_source *s) {
  caption_search search = {0};
  err error = NULL;
  for (size_t i = (size_t)s->first; i < l->count && !error && !caption_search_is_over(&search);
       i++) {
    shard one = {0};
    shard_notes notes = {0};
    error = shard_open(l->shards[i].name, &one, &notes);
    if (!error) error = caption_search_in(&one, &s->reading, &search);
    shard_close(&one);
    shard_notes_free(&notes);
  }
  return caption_search_end(&search, error, &s->reading, name);
}

/* The same of a pipe, with its first shard open. */
static err check_piped_field(const char *name, const shard *first, const shard_reading *how) {
  caption_search search = {0};
  err error = caption_search_in(first, how, &search);
  return caption_search_end(&search, error, how, name);
}

static err add_source(shard_list *l, const char *name, bool allows_pipes) {
  source_request r = {.needs = DATASET_PAIR, .allows_pipes = allows_pipes};
  const source_format *format;
  char *copy = NULL;
  listed_source *s = &l->sources[l->source_count];
  err error = NULL;
  TRY(source_take_apart(name, &r, &format, &copy));
  bool is_pipe = format->open == source_open_pipe;
  if (!is_pipe && format->open != source_open_shards)
    FAIL(ERR_UNSUPPORTED,
         "%s: data.order: stream reads tar shards and pipes; a source of kind %s needs data.order: "
         "exact",
         name, format->name);
  const char *field = source_option(&r, "caption");
  *s = (listed_source){.reading = {DATASET_PAIR, field ? mem_copy_string(field) : NULL},
                       .first = (int64_t)l->count};
  if (field && !s->reading.caption_field) FAIL(ERR_MEMORY, "out of memory: a data set");
  TRY(source_weight(&r, &s->weight));
  TRY(add_names(l, &r, is_pipe));
  TRY(add_places(l, &r, s));
  if (field && !is_pipe) TRY(check_caption_field(l, name, s));
  l->has_pipes = l->has_pipes || is_pipe;
cleanup:
  l->source_count++; /* also on failure: its shards are freed with it */
  free(copy);
  return error;
}

/* Checks that a file exists and may be a tar, from its first and last bytes. */
static err look_at(listed *one, char ends[2 * END_BYTES], size_t *length) {
  struct stat status;
  int fd = open(one->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return err_errno(errno, "%s: cannot open", one->name);
  ssize_t head = 0, tail = 0;
  err error = NULL;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    error = err_new(ERR_INPUT, "%s: is not a regular file", one->name);
  } else {
    off_t tail_at = status.st_size > END_BYTES ? status.st_size - END_BYTES : 0;
    one->size = (uint64_t)status.st_size;
    head = pread(fd, ends, END_BYTES, 0);
    if (head >= 0) tail = pread(fd, ends + head, END_BYTES, tail_at);
    if (head < 0 || tail < 0) error = err_errno(errno, "%s: cannot read", one->name);
  }
  close(fd);
  if (!error) error = shard_refuse_other_files(one->name, ends, (size_t)head);
  if (!error) *length = (size_t)(head + tail);
  return error;
}

static err hash_whole(const listed *one, hash_state *state) {
  enum { BLOCK = 1 << 20 };
  char *block = mem_aligned(BLOCK);
  FILE *file = fopen(one->name, "re");
  err error = NULL;
  size_t length;
  uint64_t total = 0;
  if (!block) error = mem_error(BLOCK, "a fingerprint");
  if (!file) error = err_errno(errno, "%s: cannot open", one->name);
  while (!error && (length = fread(block, 1, BLOCK, file)) > 0) {
    hash_add(state, block, length);
    total += length;
  }
  if (!error && total != one->size)
    error = err_new(ERR_IO, "%s: %lu of its %lu bytes could be read", one->name,
                    (unsigned long)total, (unsigned long)one->size);
  if (file) fclose(file);
  free(block);
  return error;
}

/* Hashes names, sizes and ends, or all bytes; the latter equals the hash of the exact order. */
static err take_fingerprint(shard_list *l, bool has_bytes) {
  char ends[2 * END_BYTES];
  size_t source = SIZE_MAX, length = 0;
  err error = NULL;
  hash_state *state = hash_begin();
  if (!state) return mem_error(0, "a fingerprint");
  for (size_t i = 0; i < l->count && !error; i++) {
    listed *one = &l->shards[i];
    const double *weight = &l->sources[one->source].weight;
    if (one->source != source && *weight != 1) hash_add(state, weight, sizeof *weight);
    source = one->source;
    const char *name = one->command ? one->command : fs_name(one->name);
    hash_add(state, name, strlen(name) + 1);
    hash_add(state, &one->size, sizeof one->size);
    if (one->command || !one->size) continue;
    if (has_bytes)
      error = hash_whole(one, state);
    else
      error = look_at(one, ends, &length);
    if (!error && !has_bytes) hash_add(state, ends, length);
  }
  hash_finish(state, l->fingerprint);
  return error;
}

/* Checks that every shard exists and may be a tar. */
static err look_at_all(shard_list *l, uint64_t *total) {
  char ends[2 * END_BYTES];
  size_t length;
  *total = 0;
  for (size_t i = 0; i < l->count; i++) {
    if (l->shards[i].command) continue;
    err error = look_at(&l->shards[i], ends, &length);
    if (error) return error;
    *total += l->shards[i].size;
  }
  return NULL;
}

/* The sizes.json of the most recently read folder. */
typedef struct {
  strbuf folder;
  json_t *sizes;
  bool is_read;
} folder_sizes;

static int64_t whole_count(const json_t *value) {
  return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value) : -1;
}

/* Number of samples that img2dataset wrote into the shard, from its SHARD_stats.json. */
static int64_t count_by_stats(const char *path) {
  strbuf name = {0};
  size_t length = strlen(path);
  if (length < 4 || strcmp(path + length - 4, ".tar") != 0) return -1;
  strbuf_append_bytes(&name, path, length - 4);
  strbuf_append(&name, "_stats.json");
  json_t *stats = name.is_broken ? NULL : json_load_file(strbuf_string(&name), 0, NULL);
  int64_t count = whole_count(json_object_get(stats, "successes"));
  json_decref(stats);
  strbuf_free(&name);
  return count;
}

static int64_t count_by_sizes(const char *path, folder_sizes *f) {
  size_t length = (size_t)(fs_name(path) - path);
  if (!f->is_read || f->folder.length != length ||
      memcmp(strbuf_string(&f->folder), path, length) != 0) {
    strbuf_clear(&f->folder);
    strbuf_append_bytes(&f->folder, path, length);
    strbuf file = {0};
    strbuf_append_bytes(&file, path, length);
    strbuf_append(&file, "sizes.json");
    json_decref(f->sizes);
    f->sizes = file.is_broken ? NULL : json_load_file(strbuf_string(&file), 0, NULL);
    f->is_read = true;
    strbuf_free(&file);
  }
  return whole_count(json_object_get(f->sizes, fs_name(path)));
}

static void count_samples(shard_list *l) {
  folder_sizes folder = {0};
  for (size_t i = 0; i < l->count && !l->uncounted; i++) {
    listed *one = &l->shards[i];
    if (!one->command) one->samples = count_by_stats(one->name);
    if (!one->command && one->samples < 0) one->samples = count_by_sizes(one->name, &folder);
    if (one->samples < 0) l->uncounted = one->name;
  }
  strbuf_free(&folder.folder);
  json_decref(folder.sizes);
  for (size_t s = 0, i = 0; s < l->source_count && !l->uncounted; s++) {
    int64_t samples = 0;
    for (; i < l->count && l->shards[i].source == s; i++) samples += l->shards[i].samples;
    l->samples += samples;
    l->epoch += llround((double)samples * l->sources[s].weight);
  }
}

err shard_list_open(char *const *names, size_t count, bool allows_pipes, uint64_t most_hashed_bytes,
                    shard_list **out) {
  uint64_t total;
  err error = NULL;
  shard_list *l = mem_zeroed(1, sizeof *l);
  if (!l) return mem_error(sizeof *l, "a data set");
  l->sources = mem_zeroed(count, sizeof *l->sources);
  if (!l->sources) FAIL(ERR_MEMORY, "out of memory: a data set");
  for (size_t i = 0; i < count; i++) TRY(add_source(l, names[i], allows_pipes));
  TRY(look_at_all(l, &total));
  TRY(take_fingerprint(l, total <= most_hashed_bytes));
  count_samples(l);
cleanup:
  if (error)
    shard_list_close(l);
  else
    *out = l;
  return error;
}

void shard_list_close(shard_list *l) {
  if (!l) return;
  for (size_t i = 0; i < l->count; i++) {
    free(l->shards[i].name);
    free(l->shards[i].command);
  }
  for (size_t i = 0; i < l->source_count; i++) free(l->sources[i].reading.caption_field);
  free(l->shards);
  free(l->sources);
  free(l);
}

const char *shard_list_fingerprint(const shard_list *l) {
  return l->fingerprint;
}

int64_t shard_list_samples(const shard_list *l, const char **uncounted) {
  if (uncounted) *uncounted = l->uncounted;
  return l->samples;
}

int64_t shard_list_epoch(const shard_list *l) {
  return l->epoch;
}

static int64_t shard_at(const void *context, uint64_t seed, bool is_shuffled, int64_t epoch,
                        int64_t place) {
  const shard_list *l = context;
  size_t i = 0;
  if (is_shuffled) place = permute(seed, epoch, l->places, place);
  while (i + 1 < l->source_count && place >= l->sources[i + 1].first_place) i++;
  const listed_source *s = &l->sources[i];
  int64_t end = i + 1 < l->source_count ? l->sources[i + 1].first : (int64_t)l->count;
  return s->first + permute_weighted(seed + i, is_shuffled, epoch, end - s->first, s->places,
                                     place - s->first_place);
}

/* Asks the kernel to read the file into its cache from front to back while it is indexed. */
static void read_ahead(const char *path) {
  struct stat status;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return; /* the error is reported when it is opened */
  if (fstat(fd, &status) == 0 && status.st_size <= most_read_ahead)
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
  close(fd);
}

/* A reopened shard must be unchanged. */
static err check_unchanged(listed *one, const shard *tar) {
  char digest[HASH_SIZE];
  hash_state *state = hash_begin();
  if (!state) return mem_error(0, "a fingerprint");
  hash_add(state, &tar->count, sizeof tar->count);
  if (tar->size) shard_hash_places(tar, state);
  hash_finish(state, digest);
  digest[16] = '\0';
  uint64_t now = strtoull(digest, NULL, 16) | 1, none = 0;
  if (atomic_compare_exchange_strong(&one->seen, &none, now) || none == now) return NULL;
  return err_new(
      ERR_INPUT,
      "%s: has changed since this run first read it: shards must not change during a run",
      one->name);
}

/* Findings of indexing, as lines of a shard. */
static void take_notes(const listed *one, const shard_notes *notes, const left_out_list *left_out,
                       stream_shard *out) {
  const left_out_list *lists[] = {&notes->lost, left_out};
  const int64_t count = notes->lost.count + left_out->count;
  left_out_sample sample;
  int64_t named = 0;
  strbuf_append(&out->lines, strbuf_string(&notes->warnings));
  for (size_t i = 0; i < 2; i++)
    for (size_t at = 0; named < NAMED_LEFT_OUT && left_out_next(lists[i], &at, &sample); named++)
      left_out_line(&sample, &out->lines);
  if (count > NAMED_LEFT_OUT)
    strbuf_format(&out->lines, "%s: … and %ld more %s skipped\n", one->name,
                  (long)(count - NAMED_LEFT_OUT),
                  text_plural(count - NAMED_LEFT_OUT, "sample", "samples"));
  shard_notes_summary(notes, one->name, &out->lines);
}

static err open_shard(const void *context, int64_t number, const command_stop *stop,
                      stream_shard *out) {
  const shard_list *l = context;
  listed *one = &l->shards[number];
  const listed_source *source = &l->sources[one->source];
  shard_notes notes = {0};
  left_out_list left_out = {0};
  err error = NULL;
  *out = (stream_shard){.number = number, .reading = &source->reading};
  if (one->command) {
    TRY(shard_open_command(one->command, one->name, stop, &out->tar, &notes));
  } else {
    read_ahead(one->name);
    TRY(shard_open(one->name, &out->tar, &notes));
    if (out->tar.size != one->size)
      FAIL(ERR_INPUT,
           "%s: has %zu bytes, but had %lu when the run began: shards must not change during a run",
           one->name, out->tar.size, (unsigned long)one->size);
  }
  TRY(check_unchanged(one, &out->tar));
  if (one->command && source->reading.caption_field && number == source->first)
    TRY(check_piped_field(one->name, &out->tar, &source->reading));
  TRY(shard_leave_out_lacking(&out->tar, out->reading, &left_out));
  out->left_out = notes.lost.count + left_out.count;
  out->count = (int64_t)out->tar.count;
  take_notes(one, &notes, &left_out, out);
  if (out->lines.is_broken || left_out.records.is_broken)
    FAIL(ERR_MEMORY, "out of memory: warnings");
cleanup:
  shard_notes_free(&notes);
  strbuf_free(&left_out.records);
  if (error) stream_shard_close(out);
  return error;
}

stream_shards shard_list_shards(const shard_list *l) {
  return (stream_shards){
      .context = l, .places = l->places, .expected = l->epoch, .at = shard_at, .open = open_shard};
}
