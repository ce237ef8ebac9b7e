/* The event stream: one JSON object per line, as described in docs/events.md. Each line is one
 * write(2), so that a reader never sees a partial line and a killed process loses no earlier
 * one. */
#ifndef FLIP_TRAIN_EVENTS_H
#define FLIP_TRAIN_EVENTS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/json.h"

typedef struct {
  int fd; /* -1: no events */
  bool is_owned;
  char *name; /* for error messages */
  strbuf line;
  json_writer w;
} event_stream;

/* `target`: a file (appended to), a number (an open descriptor), or NULL for none. */
err events_open(event_stream *e, const char *target) ERR_MUST_CHECK;
/* Begins {"event": name, "time": now; add fields to the returned writer, then events_end. */
json_writer *events_begin(event_stream *e, const char *name);
err events_end(event_stream *e) ERR_MUST_CHECK;
/* fsync, if it is a file. */
err events_sync(const event_stream *e) ERR_MUST_CHECK;
/* A `warning` event. */
err events_warn(event_stream *e, const char *kind, const char *message) ERR_MUST_CHECK;
/* One for each non-empty line. */
err events_warn_lines(event_stream *e, const char *kind, const strbuf *lines) ERR_MUST_CHECK;
void events_close(event_stream *e);

#endif
