#include "sweep/display.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/progress.h"

enum { BAR_CELLS = 16, SHORT_BAR_CELLS = 8, NARROW = 100, VERY_NARROW = 60 };
static const double redraw_seconds = 0.2, plain_line_seconds = 15.0;

display display_start(bool is_enabled) {
  const char *kind = getenv("TERM");
  double now = clock_seconds();
  bool is_terminal = isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0;
  return (display){.is_enabled = is_enabled,
                   .is_terminal = is_terminal,
                   .has_colour = progress_has_colour(STDERR_FILENO),
                   .started = now,
                   .drawn = is_terminal ? 0 : now};
}

bool display_is_due(const display *d) {
  double wait = d->is_terminal ? redraw_seconds : plain_line_seconds;
  return d->is_enabled && clock_seconds() - d->drawn >= wait;
}

static void clear_frame(display *d) {
  if (d->drawn_lines > 0) strbuf_append(&d->frame, "\r\033[K");
  for (int i = 1; i < d->drawn_lines; i++) strbuf_append(&d->frame, "\033[A\033[K");
  d->drawn_lines = 0;
}

static void flush_frame(display *d) {
  fputs(strbuf_string(&d->frame), stderr);
  fflush(stderr);
  strbuf_clear(&d->frame);
}

static void append_padded(strbuf *out, const char *label, size_t width) {
  strbuf_append(out, label);
  for (size_t i = text_columns(label); i < width; i++) strbuf_append_char(out, ' ');
}

static void append_bar(strbuf *out, double fraction, int cells) {
  int full = isnan(fraction) ? 0 : (int)(fraction * cells + 0.5);
  for (int i = 0; i < cells; i++) strbuf_append(out, i < full ? "━" : "─");
}

static void draw_plain(display *d, const display_line *lines, size_t count, const char *closing) {
  for (size_t i = 0; i < count; i++) {
    strbuf_append(&d->frame, lines[i].label);
    if (!isnan(lines[i].fraction)) strbuf_format(&d->frame, " %.0f %%", lines[i].fraction * 100);
    strbuf_format(&d->frame, " · %s · ", lines[i].note);
  }
  strbuf_format(&d->frame, "%s\n", closing);
}

static void draw_frame(display *d, const display_line *lines, size_t count, const char *closing) {
  size_t columns = (size_t)progress_columns() - 1;
  size_t width = 0;
  for (size_t i = 0; i < count; i++) {
    size_t own = text_columns(lines[i].label);
    if (own > width) width = own;
  }
  /* a wide terminal shows full labels, a narrow one leaves room for the numbers */
  size_t most = columns < NARROW ? columns / 3 : columns / 2;
  if (width > most) width = most;
  int bar = columns < VERY_NARROW ? SHORT_BAR_CELLS : BAR_CELLS;
  size_t rows = (size_t)progress_rows(STDERR_FILENO), hidden = 0;
  if (rows > 4 && count > rows - 3) {
    hidden = count - (rows - 3);
    count = rows - 3;
  }
  for (size_t i = 0; i < count; i++) {
    size_t start = d->frame.length;
    append_padded(&d->frame, lines[i].label, width);
    text_cut(&d->frame, start, width);
    strbuf_append_char(&d->frame, ' ');
    append_bar(&d->frame, lines[i].fraction, bar);
    if (isnan(lines[i].fraction))
      strbuf_format(&d->frame, "     · %s", lines[i].note);
    else
      strbuf_format(&d->frame, " %3.0f %% · %s", lines[i].fraction * 100, lines[i].note);
    text_cut(&d->frame, start, columns);
    strbuf_append_char(&d->frame, '\n');
  }
  size_t start = d->frame.length;
  if (hidden) strbuf_format(&d->frame, "%zu more run · ", hidden);
  strbuf_append(&d->frame, closing);
  text_cut(&d->frame, start, columns);
  d->drawn_lines = (int)count + 1;
}

void display_draw(display *d, const display_line *lines, size_t count, const char *closing) {
  if (!d->is_enabled) return;
  d->drawn = clock_seconds();
  if (d->is_terminal) {
    clear_frame(d);
    draw_frame(d, lines, count, closing);
  } else {
    draw_plain(d, lines, count, closing);
  }
  flush_frame(d);
}

void display_say(display *d, const char *format, ...) {
  if (!d->is_enabled) return;
  va_list arguments;
  clear_frame(d);
  va_start(arguments, format);
  strbuf_format_list(&d->frame, format, arguments);
  va_end(arguments);
  strbuf_append_char(&d->frame, '\n');
  flush_frame(d);
  if (d->is_terminal) d->drawn = 0;
}

void display_finish(display *d) {
  clear_frame(d);
  if (d->frame.length) flush_frame(d);
  strbuf_free(&d->frame);
}
