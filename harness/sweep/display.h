/* The live display while cells run: on a terminal one line per running cell and one for the total,
 * redrawn in place; in a pipe a plain line every 15 s. On stderr. Internal to sweep/. */
#ifndef FLIPBENCH_SWEEP_DISPLAY_H
#define FLIPBENCH_SWEEP_DISPLAY_H

#include "sweep/run.h"

typedef struct {
  bool is_enabled, is_terminal, has_colour;
  int drawn_lines;
  double drawn, started; /* clock_seconds */
  double done_at_start;  /* work done before this sweep */
  strbuf frame;
} display;

/* One line of the frame. */
typedef struct {
  const char *label;
  double fraction; /* 0 to 1; NaN: unknown */
  const char *note;
} display_line;

display display_start(bool is_enabled);
/* True when a new frame is due: the caller then gathers its contents. */
bool display_is_due(const display *d);
void display_draw(display *d, const display_line *lines, size_t count, const char *closing);
/* Clears the frame and prints a permanent line. */
void display_say(display *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void display_finish(display *d);

#endif
