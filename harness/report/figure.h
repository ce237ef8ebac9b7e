/* The gnuplot script of one figure, piece by piece. Internal to report/. */
#ifndef FLIPBENCH_REPORT_FIGURE_H
#define FLIPBENCH_REPORT_FIGURE_H

#include "report/data.h"

/* A point of a series; low and high are the least and greatest over the seeds. */
typedef struct {
  double x, y, low, high;
  bool is_tuning;
} figure_point;

typedef struct {
  strbuf variables, points, tuning, ends; /* ends: commands that label the lines */
  double x_least, x_most, y_least, y_most;
  int series;
  bool has_data, has_band, has_marks;
  bool is_column;      /* for a column of a paper: small canvas, no title (the caption's work) */
  double right_edge;   /* of the plot, as a share of the canvas */
  figure_point *drawn; /* every point of every series; NaN parts them */
  size_t drawn_count;
} figure;

void figure_set_text(figure *f, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void figure_set_number(figure *f, const char *name, double value);
err figure_add_series(figure *f, const figure_point *points, size_t count) ERR_MUST_CHECK;
/* The label at a series' end; placed clear of the lines and of the other labels. Ranges and the
 * right edge are set before. */
typedef struct {
  double x, y;
  char text[96];
  int series;
} figure_end;
void figure_place_ends(figure *f, figure_end *ends, size_t count);
void figure_free(figure *f);

/* Writes FOLDER/NAME.gp and runs gnuplot on it. `template_path`: the gnuplot file that draws; NULL:
 * the house's of that name. */
err figure_draw(const figure *f, const char *name, const char *folder, const char *formats,
                const char *template_path) ERR_MUST_CHECK;

#endif
