/* WebDataset shards, and pipes whose output is one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "text/plain_text.h"
#include "read/record.h"
#include "read/sample_json.h"
#include "read/shard.h"
#include "read/source.h"

typedef struct {
  data_source base;
  shard *shards;
  size_t shard_count;
  size_t *firsts;      /* [shard_count] row of each shard's first sample */
  char *caption_field; /* of the JSON; NULL: the .txt */
  shard_notes notes;
} shards_source;

/* What sample i lacks to be a row; NULL: nothing. */
static const char *lack_of(const shards_source *s, const shard *from, size_t i) {
  if (s->base.needs & DATASET_IMAGE && !shard_get(from, i, SHARD_IMAGE).data) return "image";
  if (!(s->base.needs & DATASET_CAPTION)) return NULL;
  bool has_field = s->caption_field && shard_get(from, i, SHARD_JSON).data;
  return has_field || shard_get(from, i, SHARD_CAPTION).data ? NULL : "caption (.txt)";
}

/* Takes samples that lack something out of a shard's index, and names them. */
static err leave_out_parts(shards_source *s, shard *from) {
  bool *is_left_out = NULL;
  err error = NULL;
  for (size_t i = 0; i < from->count; i++) {
    const char *lack = lack_of(s, from, i);
    char *key = NULL;
    if (!lack) continue;
    if (!is_left_out) is_left_out = mem_zeroed(from->count, sizeof *is_left_out);
    if (!is_left_out) return mem_error(from->count, "a data set's index");
    TRY(shard_key(from, i, &key));
    is_left_out[i] = true;
    s->base.left_outs++;
    strbuf_format(&s->base.left_out, "%s: sample %s has no %s\n", from->path, key, lack);
    free(key);
  }
  if (is_left_out) shard_leave_out(from, is_left_out);
cleanup:
  free(is_left_out);
  return error;
}

static err collect_rows(shards_source *s) {
  s->firsts = mem_zeroed(s->shard_count, sizeof *s->firsts);
  if (!s->firsts) return mem_error(s->shard_count * sizeof *s->firsts, "a data set's index");
  for (size_t i = 0; i < s->shard_count; i++) {
    err error = leave_out_parts(s, &s->shards[i]);
    if (error) return error;
    s->firsts[i] = (size_t)s->base.count;
    s->base.count += (int64_t)s->shards[i].count;
  }
  return NULL;
}

/* The shard that holds a row: the last one that does not begin behind it. */
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

/* The caption's text, NULL when there is none. One that is no text is a fault where captions are
 * needed, and none where they are not. */
static err take_caption(const shards_source *s, shard_bytes bytes, char **caption) {
  if (!bytes.data) return NULL;
  err error = plain_text(bytes.data, bytes.size, "its caption", caption);
  if (!error || s->base.needs & DATASET_CAPTION || err_kind_of(error) != ERR_INPUT) return error;
  err_free(error);
  return NULL;
}

static err take_json(shard_bytes bytes, char **json) {
  return bytes.data ? sample_json_text(bytes.data, bytes.size, json) : NULL;
}

/* The caption that a field of the JSON holds; NULL: the .txt has to stand in. */
static err take_field(const shards_source *s, dataset_sample *out) {
  if (!s->caption_field || !out->json) return NULL;
  err error = sample_caption(out->json, s->caption_field, &out->caption);
  if (!error || s->base.needs & DATASET_CAPTION || err_kind_of(error) != ERR_INPUT) return error;
  err_free(error);
  return NULL;
}

static err read_row(const data_source *base, int64_t row, bool has_image, dataset_sample *out) {
  const shards_source *s = (const shards_source *)base;
  size_t which = shard_of(s, (size_t)row), i = (size_t)row - s->firsts[which];
  const shard *from = &s->shards[which];
  *out = (dataset_sample){.shard = from->path};
  err error = shard_key(from, i, &out->owned_key);
  out->key = out->owned_key;
  if (has_image) {
    shard_bytes image = shard_get(from, i, SHARD_IMAGE);
    out->image = image.data;
    out->image_bytes = image.size;
  }
  if (!error) error = take_json(shard_get(from, i, SHARD_JSON), &out->json);
  if (!error) error = take_field(s, out);
  if (!error && !out->caption)
    error = take_caption(s, shard_get(from, i, SHARD_CAPTION), &out->caption);
  if (!error && !out->caption && s->base.needs & DATASET_CAPTION)
    error = err_new(ERR_INPUT, "its JSON has no text '%s'", s->caption_field);
  return error;
}

/* Where the members lie and how long they are, and four pages of the bytes: no two shards with
 * other samples agree in both. */
static void hash_parts(const shard *one, hash_state *state) {
  enum { PAGES = 4, PAGE = 4096 };
  hash_add(state, one->samples, one->count * sizeof *one->samples);
  for (size_t i = 0; i < PAGES; i++) {
    size_t at = one->size / (2 * PAGES) * (2 * i + 1), left = one->size - at;
    hash_add(state, one->map + at, left < PAGE ? left : PAGE);
  }
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
      hash_parts(one, state);
  }
  return NULL;
}

static void close_shards(data_source *base) {
  shards_source *s = (shards_source *)base;
  for (size_t i = 0; i < s->shard_count; i++) shard_close(&s->shards[i]);
  free(s->shards);
  free(s->firsts);
  free(s->caption_field);
  shard_notes_free(&s->notes);
  free(s);
}

static const source_calls shards_calls = {read_row, hash_shards, close_shards};

static err create(const source_request *r, size_t shards, shards_source **out) {
  const char *field = source_option(r, "caption");
  shards_source *s = mem_zeroed(1, sizeof *s);
  if (!s) return mem_error(sizeof *s, "a data set");
  s->base.call = &shards_calls;
  s->base.needs = r->needs;
  s->shards = mem_zeroed(shards, sizeof *s->shards);
  s->caption_field = field ? mem_copy_string(field) : NULL;
  *out = s;
  return s->shards && (s->caption_field || !field)
             ? NULL
             : mem_error(shards * sizeof *s->shards, "a data set");
}

/* What indexing the shards came upon, in the source's own lists. */
static void take_notes(const source_request *r, shards_source *s) {
  strbuf_append(&s->base.notes, strbuf_string(&s->notes.warnings));
  shard_notes_summary(&s->notes, r->whole, &s->base.notes);
  if (!(r->needs & DATASET_IMAGE)) return; /* nothing is lost to a task that needs no image */
  strbuf_append(&s->base.left_out, strbuf_string(&s->notes.lost));
  s->base.left_outs += s->notes.lost_count;
}

static err finish(const source_request *r, shards_source *s, err error, data_source **out) {
  for (size_t i = 0; i < s->shard_count; i++) s->base.bytes += s->shards[i].size;
  if (!error) take_notes(r, s);
  if (!error) error = collect_rows(s);
  if (error)
    source_close(&s->base);
  else
    *out = &s->base;
  return error;
}

err source_open_shards(const source_request *r, data_source **out) {
  char **paths = NULL;
  size_t count = 0;
  shards_source *s = NULL;
  err error = shard_expand(&(char *){r->location}, 1, &paths, &count);
  if (error) return error;
  if (!count) return err_new(ERR_INPUT, "%s: names no shards", r->whole);
  error = create(r, count, &s);
  for (size_t i = 0; i < count && !error; i++) {
    error = shard_open(paths[i], &s->shards[i], &s->notes);
    if (!error) s->shard_count++;
  }
  fs_free_names(paths, count);
  return s ? finish(r, s, error, out) : error;
}

/* Runs a command with its output going to a file that has no name any more. */
static err run_command(const char *command, FILE **output) {
  char block[1 << 16];
  size_t length;
  err error = NULL;
  FILE *file = tmpfile(), *pipe = NULL;
  if (!file) return err_errno(errno, "pipe:%s: no temporary file for its output", command);
  pipe = popen(command, "re");
  if (!pipe) FAIL(ERR_IO, "pipe:%s: cannot be run", command);
  while ((length = fread(block, 1, sizeof block, pipe)) > 0)
    if (fwrite(block, 1, length, file) != length)
      FAIL(ERR_IO, "pipe:%s: its output does not fit into the temporary folder", command);
  int status = pclose(pipe);
  pipe = NULL;
  if (status != 0)
    FAIL(ERR_INPUT, "pipe:%s: the command ended with status %d", command,
         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  if (fflush(file) != 0) error = err_errno(errno, "pipe:%s: its output", command);
cleanup:
  if (pipe) pclose(pipe);
  if (error)
    fclose(file);
  else
    *output = file;
  return error;
}

err source_open_pipe(const source_request *r, data_source **out) {
  FILE *output = NULL;
  char path[64];
  shards_source *s = NULL;
  if (!r->allows_pipes)
    return err_new(ERR_INPUT,
                   "%s: runs a program, which data.allow_pipes: false does not allow; set it to "
                   "true if you trust the command",
                   r->whole);
  err error = run_command(r->location, &output);
  if (error) return error;
  error = create(r, 1, &s);
  if (!error) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(output));
    error = shard_open(path, &s->shards[0], &s->notes);
    if (!error) {
      free(s->shards[0].path);
      s->shard_count = 1;
      s->shards[0].path = mem_copy_string(r->whole);
      if (!s->shards[0].path) error = mem_error(strlen(r->whole), "a data set");
    }
  }
  fclose(output); /* the mapping keeps the bytes */
  return s ? finish(r, s, error, out) : error;
}
