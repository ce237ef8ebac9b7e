/* Progress display: one line redrawn on a terminal. Elsewhere a plain line now and then and one at
 * the end; none for work that ends before the first would be due.
 *
 * Honours --no-progress (is_enabled false), NO_COLOR and a `dumb` terminal. Written to stderr, so
 * that stdout contains only results. Not thread-safe. */
#ifndef FLIP_BASE_PROGRESS_H
#define FLIP_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
  const char *label;
  double total;          /* units of work; 0: unknown */
  double started, drawn; /* seconds */
  double first_done;     /* work already done at the start (a resumed run) */
  double done, shown;    /* at the last update; in the last plain line, -1: there is none */
  bool is_enabled, is_terminal, is_line_open;
} progress;

progress progress_start(const char *label, double total, double already_done, bool is_enabled);
/* `done` of total; `note` (may be NULL) is appended: "loss 3.21 · 412 samples/s". */
void progress_update(progress *p, double done, const char *note);
/* Clears the line, so that something else can be printed. The next update draws it again. */
void progress_clear(progress *p);
/* `closing`: the last line; NULL: none on a terminal, elsewhere how far the work came. */
void progress_finish(progress *p, const char *closing);

/* True when `fd` is a terminal that understands escape codes and NO_COLOR is not set. */
bool progress_has_colour(int fd);
/* Columns of the terminal on stderr; 80 when it is not a terminal. */
int progress_columns(void);
/* Rows of the terminal on `fd`; 24 when it is not a terminal. */
int progress_rows(int fd);

#endif
