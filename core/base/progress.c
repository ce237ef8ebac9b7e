#include "base/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum { BAR_CELLS = 24 };
static const double redraw_seconds = 0.1, plain_line_seconds = 15.0;

static bool is_smart_terminal(int fd) {
  const char *kind = getenv("TERM");
  return isatty(fd) && kind && strcmp(kind, "dumb") != 0;
}

bool progress_has_colour(int fd) {
  const char *no_colour = getenv("NO_COLOR");
  return is_smart_terminal(fd) && !(no_colour && *no_colour);
}

int progress_columns(void) {
  struct winsize size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

int progress_rows(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

progress progress_start(const char *label, double total, double already_done, bool is_enabled) {
  double now = clock_seconds();
  bool is_terminal = is_smart_terminal(STDERR_FILENO);
  return (progress){.label = label,
                    .total = total,
                    .started = now,
                    .drawn = is_terminal ? 0 : now,
                    .first_done = already_done,
                    .done = already_done,
                    .shown = -1,
                    .is_enabled = is_enabled,
                    .is_terminal = is_terminal};
}

static void describe(const progress *p, double done, const char *note, strbuf *line) {
  char elapsed_text[TEXT_NUMBER_SIZE], left_text[TEXT_NUMBER_SIZE];
  double elapsed = clock_seconds() - p->started;
  strbuf_append(line, p->label);
  if (p->total > 0) {
    double fraction = done / p->total;
    if (fraction > 1) fraction = 1;
    if (p->is_terminal) {
      int full = (int)(fraction * BAR_CELLS);
      strbuf_append(line, " ");
      for (int i = 0; i < BAR_CELLS; i++) strbuf_append(line, i < full ? "━" : "─");
    }
    strbuf_format(line, " %3.0f %%", fraction * 100);
    double fresh = done - p->first_done;
    if (fresh > 0 && elapsed > 0.5 && fraction < 1)
      strbuf_format(line, " · %s left",
                    text_duration((p->total - done) / fresh * elapsed, left_text));
  }
  strbuf_format(line, " · %s", text_duration(elapsed, elapsed_text));
  if (note && *note) strbuf_format(line, " · %s", note);
}

static void print_plain(progress *p, double done, const char *note) {
  strbuf line = {0};
  describe(p, done, note, &line);
  fprintf(stderr, "%s\n", strbuf_string(&line));
  strbuf_free(&line);
  p->shown = done;
}

void progress_update(progress *p, double done, const char *note) {
  if (!p->is_enabled) return;
  double now = clock_seconds();
  p->done = done;
  if (now - p->drawn < (p->is_terminal ? redraw_seconds : plain_line_seconds)) return;
  p->drawn = now;
  if (p->is_terminal) {
    strbuf line = {0};
    describe(p, done, note, &line);
    text_cut(&line, 0, (size_t)progress_columns() - 1);
    fprintf(stderr, "\r\033[K%s", strbuf_string(&line));
    p->is_line_open = true;
    strbuf_free(&line);
  } else {
    print_plain(p, done, note);
  }
  fflush(stderr);
}

void progress_clear(progress *p) {
  if (!p->is_line_open) return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  p->is_line_open = false;
  p->drawn = 0;
}

void progress_finish(progress *p, const char *closing) {
  progress_clear(p);
  if (closing && p->is_enabled)
    fprintf(stderr, "%s\n", closing);
  else if (p->shown >= 0 && p->done > p->shown) /* or the last line would be of unfinished work */
    print_plain(p, p->done, NULL);
}
