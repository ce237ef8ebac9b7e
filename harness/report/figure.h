/* Builds the gnuplot script of one figure. Internal to report/. */
#ifndef FLIPBENCH_REPORT_FIGURE_H
#define FLIPBENCH_REPORT_FIGURE_H

#include "report/data.h"

/* A point of a series; low and high are the ends of its 95 % interval, or the value itself when
 * there is none. */
typedef struct {
  double x, y, low, high;
  bool is_tuning;
} figure_point;

/* Series beyond the colours repeat them with other marks (plots/theme.gp). */
enum { FIGURE_MOST_SERIES = 24, FIGURE_MOST_PANELS = 6, FIGURE_COLOURS = 8 };

typedef struct {
  strbuf variables, points, tuning, ends; /* ends: commands that label the lines */
  strbuf bands;                           /* the outline of each series' intervals */
  strbuf title;                           /* in full, for browsers and screen readers */
  strbuf limit;    /* what part of the rows is drawn: begins the subtitle; empty: all */
  strbuf left_out; /* the rows that could not be drawn, and why: for the source line */
  double x_least, x_most, y_least, y_most;
  int series, panels; /* panels 0: a single plot */
  int panel_of[FIGURE_MOST_SERIES], colour_of[FIGURE_MOST_SERIES];
  bool has_data, has_band, has_marks;
  bool is_cut;         /* some intervals reach beyond the plot */
  size_t legend_lines; /* above the panels; 0: there is one */
  bool is_x_log;
  bool is_column; /* for a column of a paper: small canvas, no title (that is in the caption) */
  double left_edge, right_edge; /* of the plot, as shares of the canvas; left 0: the default */
  figure_point *drawn;          /* every point of every series; NaN separates them */
  size_t drawn_count;
} figure;

void figure_set_text(figure *f, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The title, in a size that fits; if it is too long, `shorter` is used (NULL: it is truncated). */
void figure_set_title(figure *f, const char *title, const char *shorter);
/* The lines below the title and below the figure, in sizes that fit, or truncated. */
void figure_set_subtitle(figure *f, const char *text);
void figure_set_source(figure *f, const char *text);
/* At most FIGURE_MOST_SERIES of `count` are drawn: how many. The figure then says "first 24 of 28
 * rows" (`what`: "rows"). */
size_t figure_limit(figure *f, size_t count, const char *what);
/* What a column of a paper, which has neither subtitle nor source line, does not show. */
void figure_set_note(figure *f, const char *text);
void figure_set_number(figure *f, const char *name, double value);
err figure_add_series(figure *f, const figure_point *points, size_t count) ERR_MUST_CHECK;
/* Areas that labels avoid although nothing is drawn there: an error bar. */
err figure_add_obstacle(figure *f, double x, double low, double high) ERR_MUST_CHECK;
/* A line that labels avoid. */
err figure_add_stretch(figure *f, double x0, double y0, double x1, double y1) ERR_MUST_CHECK;
/* An entry of the legend above the panels, with its mark if the lines have marks; `at`: position as
 * a share of the canvas; in line `line` of legend_lines, which is set first. */
void figure_set_legend(figure *f, const char *name, double at, size_t line, int colour);
/* The place of a value on the x axis; the width of a text: as shares of the canvas. */
double figure_across(const figure *f, double x);
double figure_text_share(const figure *f, const char *text);
/* Appends the text as it fits into `room`, a share of the width, in letters of `size` points; cut,
 * it ends in "…". */
void figure_fit_text(const figure *f, const char *text, double size, double room, strbuf *out);
/* Moves a name into an array of `size`: what is too long ends in "…", never inside a character, and
 * nothing in it ends the quotes or the line of a script. Frees `name`. */
void figure_keep_name(strbuf *name, char *text, size_t size);
/* figure_fit_text in place, in an array of `capacity`; out of memory breaks the figure. */
void figure_fit_name(figure *f, char *name, size_t capacity, double size, double room);
double figure_legend_size(const figure *f);                    /* in points */
double figure_legend_share(const figure *f, const char *name); /* of an entry of the legend */
/* The label at the end of a series, placed clear of the lines and of other labels; if a line would
 * cross one, all go into a legend next to `y_label`, or right of the plot, which moves the right
 * edge. Set ranges, has_marks and the right edge first. */
typedef struct {
  double x, y;
  char text[96];
  int series;
} figure_end;
void figure_place_ends(figure *f, const char *y_label, figure_end *ends, size_t count);
void figure_free(figure *f);

/* Writes FOLDER/NAME.gp and runs gnuplot on it, in FOLDER. `template_path`: the gnuplot template;
 * NULL: the shipped one named `template_name`. */
err figure_draw(const figure *f, const char *name, const char *folder, const char *formats,
                const char *template_name, const char *template_path) ERR_MUST_CHECK;

#endif
