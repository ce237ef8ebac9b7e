#include "read/shard_sample.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "read/shard_expand.h"
#include "text/plain_text.h"
#include "read/record.h"
#include "read/sample_json.h"

/* What sample i lacks to become a row; NULL: nothing. */
static const char *lack_of(const shard_reading *how, const shard *from, size_t i) {
  if (how->needs & DATASET_IMAGE && !shard_get(from, i, SHARD_IMAGE).data) return "image";
  if (!(how->needs & DATASET_CAPTION)) return NULL;
  bool has_field = how->caption_field && shard_get(from, i, SHARD_JSON).data;
  return has_field || shard_get(from, i, SHARD_CAPTION).data ? NULL : "caption (.txt)";
}

err shard_leave_out_lacking(shard *from, const shard_reading *how, left_out_list *left_out) {
  bool *is_left_out = NULL;
  err error = NULL;
  for (size_t i = 0; i < from->count; i++) {
    const char *lack = lack_of(how, from, i);
    char *key = NULL;
    if (!lack) continue;
    if (!is_left_out) is_left_out = mem_zeroed(from->count, sizeof *is_left_out);
    if (!is_left_out) return mem_error(from->count, "a data set's index");
    TRY(shard_key(from, i, &key));
    is_left_out[i] = true;
    left_out_add(left_out, from->path, key, "has no %s", lack);
    free(key);
  }
  if (is_left_out) shard_leave_out(from, is_left_out);
cleanup:
  free(is_left_out);
  return error;
}

/* The caption's text, NULL when there is none. One that is not text is an error only where captions
 * are required. */
static err take_caption(const shard_reading *how, shard_bytes bytes, char **caption) {
  if (!bytes.data) return NULL;
  err error = plain_text(bytes.data, bytes.size, "its caption", caption);
  if (!error || how->needs & DATASET_CAPTION || err_kind_of(error) != ERR_INPUT) return error;
  err_free(error);
  return NULL;
}

static err take_json(shard_bytes bytes, char **json) {
  return bytes.data ? sample_json_text(bytes.data, bytes.size, json) : NULL;
}

/* The caption from a field of the JSON; NULL: use the .txt. */
static err take_field(const shard_reading *how, dataset_sample *out) {
  if (!how->caption_field || !out->json) return NULL;
  err error = sample_caption(out->json, how->caption_field, &out->caption);
  if (!error || how->needs & DATASET_CAPTION || err_kind_of(error) != ERR_INPUT) return error;
  err_free(error);
  return NULL;
}

err shard_sample_read(const shard *from, size_t i, const shard_reading *how, bool has_image,
                      dataset_sample *out) {
  *out = (dataset_sample){.shard = from->path};
  err error = shard_key(from, i, &out->owned_key);
  out->key = out->owned_key;
  if (has_image) {
    shard_bytes image = shard_get(from, i, SHARD_IMAGE);
    out->image = image.data;
    out->image_bytes = image.size;
  }
  if (!error) error = take_json(shard_get(from, i, SHARD_JSON), &out->json);
  if (!error) error = take_field(how, out);
  if (!error && !out->caption) {
    error = take_caption(how, shard_get(from, i, SHARD_CAPTION), &out->caption);
    out->has_fallen_back = how->caption_field && out->caption;
  }
  if (!error && !out->caption && how->needs & DATASET_CAPTION)
    error = err_new(ERR_INPUT, "its JSON has no string '%s'", how->caption_field);
  return error;
}

enum { SEARCHED_SAMPLES = 64, LISTED_FIELDS = 40 };

bool caption_search_is_over(const caption_search *search) {
  return search->is_found || search->looked_at == SEARCHED_SAMPLES;
}

static void list_fields(const json_t *root, strbuf *out) {
  const char *name;
  json_t *value;
  int count = 0;
  json_object_foreach((json_t *)(uintptr_t)root, name, value) {
    if (count++ < LISTED_FIELDS) strbuf_format(out, "%s%s", out->length ? ", " : "", name);
  }
  if (count > LISTED_FIELDS) strbuf_append(out, ", …");
}

/* A JSON that cannot be read has no field; it is reported when its sample is read. */
static err search_json(const char *json, const char *field, caption_search *search) {
  char *caption = NULL;
  json_t *root = NULL;
  err error = sample_caption(json, field, &caption);
  if (!error && !search->fields.length) error = sample_json_load(json, &root);
  if (!error && !search->fields.length) list_fields(root, &search->fields);
  search->is_found = search->is_found || caption;
  free(caption);
  json_decref(root);
  if (!error || err_kind_of(error) != ERR_INPUT) return error;
  err_free(error);
  return NULL;
}

err caption_search_in(const shard *from, const shard_reading *how, caption_search *search) {
  err error = NULL;
  for (size_t i = 0; i < from->count && !error && !caption_search_is_over(search); i++) {
    char *json = NULL;
    search->looked_at++;
    error = take_json(shard_get(from, i, SHARD_JSON), &json);
    if (!error && json) error = search_json(json, how->caption_field, search);
    free(json);
  }
  return error;
}

err caption_search_end(caption_search *search, err error, const shard_reading *how,
                       const char *name) {
  if (!error && search->looked_at && !search->is_found)
    error = err_new(ERR_INPUT, "%s: no string '%s' in the JSON of the first %ld %s%s%s", name,
                    how->caption_field, (long)search->looked_at,
                    text_plural(search->looked_at, "sample", "samples"),
                    search->fields.length ? "; fields there: " : ": there are no fields",
                    strbuf_string(&search->fields));
  strbuf_free(&search->fields);
  return error;
}

void shard_hash_places(const shard *one, hash_state *state) {
  enum { PAGES = 4, PAGE = 4096 };
  hash_add(state, one->samples, one->count * sizeof *one->samples);
  for (size_t i = 0; i < PAGES; i++) {
    size_t at = one->size / (2 * PAGES) * (2 * i + 1), left = one->size - at;
    hash_add(state, one->map + at, left < PAGE ? left : PAGE);
  }
}

/* A process that is asked to stop by a signal (cli/stop.h) first finishes a step, and needs the
 * command's output for it. Others end at once, and the command of their process group with them. */
static bool outlives_signals(void) {
  struct sigaction now;
  return sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler != SIG_DFL &&
         now.sa_handler != SIG_IGN;
}

/* Some schedulers send the signal to every process: the command may have ended by it before this
 * process, in another thread, has seen its own. */
static bool is_stop_requested(void) {
  const struct timespec moment = {0, 50 * 1000000L};
  for (int i = 0; i < 20 && !interrupt_is_requested(); i++) nanosleep(&moment, NULL);
  return interrupt_is_requested();
}

static const char *temporary_folder(void) {
  const char *folder = getenv("TMPDIR");
  return folder && *folder ? folder : P_tmpdir;
}

/* An unlinked file, which other commands do not inherit. */
static err open_output(const char *command, FILE **out) {
  strbuf path = {0};
  int fd = open(temporary_folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) { /* a file system without such files */
    strbuf_format(&path, "%s/flip-XXXXXX", temporary_folder());
    fd = path.is_broken ? -1 : mkostemp(path.data, O_CLOEXEC);
    if (fd >= 0) unlink(path.data);
  }
  *out = fd < 0 ? NULL : fdopen(fd, "w+e");
  err error = *out
                  ? NULL
                  : err_errno(errno, "pipe:%s: cannot create a temporary file for its output in %s",
                              command, temporary_folder());
  if (!*out && fd >= 0) close(fd);
  strbuf_free(&path);
  return error;
}

/* ", and …" where the command may have failed for lack of room for its output. */
static const char *full_folder(FILE *output) {
  struct statvfs status;
  bool is_full = fstatvfs(fileno(output), &status) == 0 && status.f_bavail == 0;
  return is_full ? ", and the folder for its output is full: set TMPDIR to one with room" : "";
}

/* Runs a command with its output in an unlinked temporary file. */
static err run_command(const char *command, const command_stop *stop, FILE **output) {
  char *words[] = {"sh", "-c", (char *)command, NULL};
  int status = 0;
  FILE *file = NULL;
  err error = open_output(command, &file);
  if (error) return error;
  /* mpirun, srun and terminals send signals to whole process groups. In the background it could not
   * read from the terminal either: it would be stopped. */
  bool is_apart = outlives_signals();
  const command_call call = {
      .words = words, .out = fileno(file), .has_no_input = is_apart, .leads_session = is_apart};
  TRY(command_run_until(&call, is_apart ? stop : NULL, &status));
  int code = command_exit_status(status);
  if (code != 0 && is_apart && is_stop_requested())
    FAIL(ERR_INTERRUPTED, "stopped while a command was run: pipe:%s", command);
  /* The same command may succeed later: its server, or its network, was away. Not one that the
   * shell does not find (127) or may not start (126). */
  if (code != 0)
    FAIL(code == 126 || code == 127 ? ERR_INPUT : ERR_IO,
         "pipe:%s: the command exited with status %d%s", command, code < 0 ? 128 - code : code,
         full_folder(file));
cleanup:
  if (error)
    fclose(file);
  else
    *output = file;
  return error;
}

err shard_open_command(const char *command, const char *name, const command_stop *stop, shard *out,
                       shard_notes *notes) {
  FILE *output = NULL;
  char path[64];
  err error = run_command(command, stop, &output);
  if (error) return error;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(output));
  error = shard_open_as(path, name, out, notes);
  fclose(output); /* the mapping keeps the bytes */
  return error;
}

/* The first {NUMBER..NUMBER} of a command; NULL when it has none. */
static const char *find_range(const char *command) {
  for (const char *at = strchr(command, '{'); at; at = strchr(at + 1, '{')) {
    const char *dots = at + 1 + strspn(at + 1, "0123456789");
    if (dots == at + 1 || strncmp(dots, "..", 2) != 0) continue;
    const char *end = dots + 2 + strspn(dots + 2, "0123456789");
    if (end > dots + 2 && *end == '}') return at;
  }
  return NULL;
}

/* The text around a range, with each of its numbers substituted. */
static err fill_range(const char *location, const char *range, char ***commands, size_t *count) {
  const char *rest = strchr(range, '}') + 1;
  char *numbers = mem_copy_string(range);
  if (!numbers) return mem_error(strlen(range), "a pipe");
  numbers[rest - range] = '\0';
  err error = shard_expand(&numbers, 1, commands, count);
  free(numbers);
  for (size_t i = 0; i < *count && !error; i++) {
    strbuf one = {0};
    strbuf_append_bytes(&one, location, (size_t)(range - location));
    strbuf_format(&one, "%s%s", (*commands)[i], rest);
    free((*commands)[i]);
    (*commands)[i] = strbuf_take(&one);
    if (!(*commands)[i]) error = mem_error(strlen(location), "a pipe");
  }
  return error;
}

static err take_one(const char *location, char ***commands, size_t *count) {
  *commands = mem_zeroed(1, sizeof **commands);
  if (*commands) (*commands)[(*count)++] = mem_copy_string(location);
  return *commands && **commands ? NULL : mem_error(strlen(location), "a pipe");
}

err shard_expand_commands(const char *location, const char *whole, char ***commands, char ***names,
                          size_t *count) {
  const char *range = find_range(location);
  *commands = *names = NULL;
  *count = 0;
  err error =
      range ? fill_range(location, range, commands, count) : take_one(location, commands, count);
  if (!error) *names = mem_zeroed(*count, sizeof **names);
  for (size_t i = 0; i < *count && !error && *names; i++) {
    strbuf name = {0};
    strbuf_format(&name, "%s%s", range ? "pipe:" : "", range ? (*commands)[i] : whole);
    (*names)[i] = strbuf_take(&name);
    if (!(*names)[i]) error = mem_error(strlen(whole), "a pipe");
  }
  if (!error && *names) return NULL;
  if (!error) error = mem_error(*count * sizeof **names, "a pipe");
  fs_free_names(*commands, *count);
  if (*names) fs_free_names(*names, *count);
  *commands = *names = NULL;
  *count = 0;
  return error;
}
