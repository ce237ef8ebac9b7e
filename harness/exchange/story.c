#include "exchange/story.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/mem_library.h"
#include "sweep/directory.h"

static bool is_event(const json_t *object, const char *a, const char *b) {
  const char *event = json_text_of(object, "event");
  return strcmp(event, a) == 0 || strcmp(event, b) == 0;
}

static err add_line(run_story *story, const char *text, size_t length) {
  json_t *object = json_loadb(text, length, 0, NULL);
  /* running out of memory while parsing looks like a line that cannot be read */
  if (!object && mem_library_lacked()) return mem_error(length, "a run's processes");
  if (!*json_text_of(object, "event")) {
    json_decref(object);
    return NULL;
  }
  story_line *grown = mem_resize(story->lines, story->count + 1, sizeof *grown);
  if (!grown) {
    json_decref(object);
    return mem_error(sizeof *grown, "a run's processes");
  }
  story->lines = grown;
  bool is_process = is_event(object, "attempt_start", "attempt_end");
  grown[story->count++] = (story_line){text, length, object, is_process};
  story->processes += is_process;
  return NULL;
}

static bool has_start(const run_story *story) {
  for (size_t i = 0; i < story->count; i++)
    if (is_event(story->lines[i].object, "attempt_start", "attempt_start")) return true;
  return false;
}

err story_read(const char *results, const char *directory, run_story *story) {
  char *path = directory_path(results, directory, "attempts.jsonl");
  size_t bytes = 0;
  int open_attempt;
  *story = (run_story){0};
  err error = path ? NULL : mem_error(0, "a path");
  if (error || !fs_exists(path)) goto cleanup;
  TRY(fs_read(path, &story->text, &bytes));
  for (char *at = story->text, *end = at + bytes; at < end;) {
    char *stop = memchr(at, '\n', (size_t)(end - at));
    TRY(add_line(story, at, (size_t)((stop ? stop : end) - at)));
    at = stop ? stop + 1 : end;
  }
  if (!has_start(story)) story->processes = 0; /* of no cell, as far as can be read */
  story->is_unreadable = !story->processes;
  TRY(directory_open_attempt(results, directory, &open_attempt));
  story->is_closed = !open_attempt;
cleanup:
  if (error) story_free(story);
  free(path);
  return error;
}

void story_free(run_story *story) {
  for (size_t i = 0; i < story->count; i++) json_decref(story->lines[i].object);
  free(story->lines);
  free(story->text);
  *story = (run_story){0};
}

/* The next line of a process from `*at` on, which moves behind it; NULL at the end. */
static const story_line *next_process(const run_story *story, size_t *at) {
  while (*at < story->count && !story->lines[*at].is_process) ++*at;
  return *at < story->count ? &story->lines[(*at)++] : NULL;
}

bool story_is_same_run(const run_story *a, const run_story *b) {
  size_t at_a = 0, at_b = 0;
  const story_line *x, *y;
  while ((x = next_process(a, &at_a)) && (y = next_process(b, &at_b)))
    if (x->length != y->length || memcmp(x->text, y->text, x->length) != 0) return false;
  return a->processes && b->processes;
}

bool story_is_archived(const run_story *story, const char **time) {
  const json_t *last = NULL;
  for (size_t i = 0; i < story->count; i++)
    if (is_event(story->lines[i].object, "archive", "restore")) last = story->lines[i].object;
  if (time) *time = json_text_of(last, "time");
  return strcmp(json_text_of(last, "event"), "archive") == 0;
}

/* Do two marks state the same thing of a run, so that the later one holds? */
static bool have_same_subject(const json_t *a, const json_t *b) {
  if (is_event(a, "note", "note")) return is_event(b, "note", "note");
  bool is_same_kind = is_event(a, "tag", "untag")
                          ? is_event(b, "tag", "untag")
                          : strcmp(json_text_of(a, "event"), json_text_of(b, "event")) ==
                                0; /* of a later version */
  return is_same_kind && strcmp(json_text_of(a, "text"), json_text_of(b, "text")) == 0;
}

static bool is_later_than_all(const json_t *mark, const run_story *story) {
  for (size_t i = 0; i < story->count; i++)
    if (have_same_subject(mark, story->lines[i].object) &&
        strcmp(json_text_of(mark, "time"), json_text_of(story->lines[i].object, "time")) <= 0)
      return false;
  return true;
}

void story_add_missing(const run_story *ours, const run_story *theirs, bool takes_processes,
                       strbuf *lines) {
  size_t processes = 0;
  for (size_t i = 0; i < theirs->count; i++) {
    const story_line *line = &theirs->lines[i];
    bool is_wanted = line->is_process ? takes_processes && processes >= ours->processes
                                      : !is_event(line->object, "archive", "restore") &&
                                            is_later_than_all(line->object, ours);
    processes += line->is_process;
    if (!is_wanted) continue;
    strbuf_append_bytes(lines, line->text, line->length);
    strbuf_append_char(lines, '\n');
  }
}
