/* Determines which rank's failure ended an attempt. All ranks end when one is lost, each with its
 * own message: this combines them into one. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_read.h"
#include "base/mem.h"
#include "base/text.h"
#include "sweep/ranks.h"

enum { MOST_TEXT = 1 << 16, TAIL_LINES = 3, MOST_TAIL = 8192 };
static const char error_head[] = "flip: error: ";

/* The last MOST_TEXT bytes of a file after byte `from`; "" if there are none. */
static char *read_end(const char *path, int64_t from) {
  char *text = mem_zeroed(MOST_TEXT + 1, 1);
  int fd = text && path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return text;
  off_t size = lseek(fd, 0, SEEK_END), start = (off_t)from;
  if (start > size) start = 0;
  if (size - start > MOST_TEXT) start = size - MOST_TEXT;
  ssize_t got = pread(fd, text, MOST_TEXT, start);
  text[got > 0 ? got : 0] = '\0';
  close(fd);
  return text;
}

/* What a rank wrote in this attempt; the caller frees; NULL when out of memory. */
static char *read_log(const char *folder, int64_t attempt, int64_t log_start, int64_t rank) {
  char *path = ranks_log_path(folder, rank), head[64];
  char *text = read_end(path, rank ? 0 : log_start);
  free(path);
  if (!rank || !text) return text;
  snprintf(head, sizeof head, RANKS_LOG_HEAD ":", attempt);
  char *at = NULL;
  for (char *next = text; (next = strstr(next, head)); next++) at = next;
  char *line = at ? strchr(at, '\n') : NULL;
  memmove(text, line ? line + 1 : "", line ? strlen(line + 1) + 1 : 1);
  return text;
}

/* The last error in a log, without its prefix, up to the end of its line; the caller frees. */
static char *last_error(const char *text) {
  const char *found = NULL;
  for (const char *at = text; (at = strstr(at, error_head)); at++)
    if (at == text || at[-1] == '\n') found = at + strlen(error_head);
  return found ? strndup(found, strcspn(found, "\r\n")) : NULL;
}

/* "rank 1 of 3 (host a, process 12) has ended; all ranks end, …": *rank is 1, and the message ends
 * before the semicolon. */
static bool is_loss(char *message, int64_t *rank) {
  int64_t size;
  char *rest = strstr(message, "; all ranks end");
  if (!rest || sscanf(message, "rank %" SCNd64 " of %" SCNd64, rank, &size) != 2) return false;
  *rest = '\0';
  return true;
}

static bool is_silence(const char *message) {
  return strstr(message, "has not answered") != NULL;
}

static const json_t *find_record(const json_t *records, int64_t rank) {
  size_t i;
  json_t *record;
  json_array_foreach(records, i, record) {
    if (json_integer_value(json_object_get(record, "rank")) == rank) return record;
  }
  return NULL;
}

static bool add_end(const json_t *record, strbuf *out) {
  int number = (int)json_integer_value(json_object_get(record, "signal"));
  double code = json_number_of(record, "exit_code");
  if (number)
    strbuf_format(out, "killed by signal %d (%s)", number, strsignal(number));
  else if (code > 0)
    strbuf_format(out, "exited with status %.0f", code);
  return number || code > 0;
}

/* How the named rank ended, and its last message. */
static void add_details(const char *folder, int64_t attempt, int64_t log_start, int64_t rank,
                        const json_t *records, strbuf *out) {
  strbuf end = {0};
  char *text = read_log(folder, attempt, log_start, rank);
  char *own = text ? last_error(text) : NULL;
  int64_t other;
  const json_t *record = find_record(records, rank);
  /* a silent rank was killed for its silence (comm/watch.h) */
  bool is_signal = record && json_integer_value(json_object_get(record, "signal")) &&
                   !is_silence(strbuf_string(out));
  if (is_signal && add_end(record, &end)) strbuf_format(out, ": %s", strbuf_string(&end));
  if (own && !is_loss(own, &other)) strbuf_format(out, "; its last error: %s", own);
  strbuf_free(&end);
  free(text);
  free(own);
}

/* No rank could report which one was lost, because the watch had not started: looks for one that
 * was killed by a signal. */
static bool explain_by_signal(const json_t *records, int64_t ranks, strbuf *out) {
  const json_t *first = NULL;
  size_t i;
  json_t *record;
  json_array_foreach(records, i, record) {
    bool was_killed = json_integer_value(json_object_get(record, "signal")) > 0;
    if (was_killed &&
        (!first || strcmp(json_text_of(record, "ended"), json_text_of(first, "ended")) < 0))
      first = record;
  }
  if (!first) return false;
  strbuf_format(out, "rank %lld of %" PRId64 " (host %s, process %lld) was ",
                (long long)json_integer_value(json_object_get(first, "rank")), ranks,
                json_text_of(first, "host"),
                (long long)json_integer_value(json_object_get(first, "pid")));
  return add_end(first, out);
}

bool ranks_explain(const char *folder, int64_t attempt, int64_t log_start, int64_t ranks,
                   verdict *v) {
  json_t *records = ranks_read_records(folder, attempt);
  char *error = NULL;
  int64_t lost = -1, speaker = 0;
  strbuf message = {0};
  for (int64_t rank = 0; rank < ranks; rank++) {
    char *text = read_log(folder, attempt, log_start, rank);
    char *own = text ? last_error(text) : NULL;
    int64_t named = -1;
    bool is_lost = own && is_loss(own, &named);
    /* a rank that was stopped finds the others ended when it continues: their messages take
     * precedence */
    bool is_better = is_lost && (lost < 0 || (is_silence(own) && !is_silence(error)));
    if (own && (is_better || !error)) {
      if (is_lost) lost = named;
      free(error);
      error = own;
      own = NULL;
      speaker = rank;
    }
    free(own);
    free(text);
  }
  if (lost >= 0) {
    strbuf_append(&message, error);
    add_details(folder, attempt, log_start, lost, records, &message);
  } else if (error) {
    bool names_itself = strncmp(error, "rank ", 5) == 0;
    if (speaker > 0 && !names_itself) strbuf_format(&message, "rank %" PRId64 ": ", speaker);
    strbuf_append(&message, error);
  }
  /* a rank whose calls fail does not know the reason */
  bool is_unclear = !error || strstr(error, "MPI: ");
  strbuf signal = {0};
  bool is_by_signal = lost < 0 && is_unclear && explain_by_signal(records, ranks, &signal);
  if (is_by_signal) {
    strbuf_clear(&message);
    strbuf_append(&message, strbuf_string(&signal));
  }
  strbuf_free(&signal);
  if (lost >= 0 || is_by_signal) strcpy(v->kind, "rank");
  if (message.length) {
    strbuf_clear(&v->message);
    text_escape(strbuf_string(&message), &v->message);
  }
  bool is_known = message.length > 0;
  strbuf_free(&message);
  free(error);
  json_decref(records);
  return is_known;
}

void ranks_add_tails(const char *folder, int64_t attempt, int64_t ranks, strbuf *tail) {
  for (int64_t rank = 1; rank < ranks && tail->length < MOST_TAIL; rank++) {
    char *text = read_log(folder, attempt, 0, rank);
    const char *at = text ? text_last_lines(text, TAIL_LINES) : "";
    while (*at) {
      strbuf line = {0};
      size_t length = strcspn(at, "\n");
      strbuf_append_bytes(&line, at, length);
      if (tail->length) strbuf_append_char(tail, '\n');
      strbuf_format(tail, "rank %" PRId64 ": ", rank);
      text_escape(strbuf_string(&line), tail);
      strbuf_free(&line);
      at += length + (at[length] == '\n');
    }
    free(text);
  }
}
