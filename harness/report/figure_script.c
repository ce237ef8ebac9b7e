/* A figure's gnuplot script, which has its data in it, and the drawing of it. */
#include "report/figure_script.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/command.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "report/figure_svg.h"

/* The folder of the templates; the caller frees. */
static err find_plots(char **plots) {
  const char *given = getenv("FLIPBENCH_PLOTS");
  *plots = given && *given ? mem_copy_string(given) : shipped_find("plots");
  return *plots
             ? NULL
             : err_new(ERR_INPUT, "the figure templates are missing from share/flip/plots next to "
                                  "this program's folder: reinstall with 'cmake --install build', "
                                  "or set FLIPBENCH_PLOTS to their folder");
}

/* 1, 2 or 5 times a power of ten, about the given number. */
static double round_step(double rough) {
  if (!(rough > 0)) return 1;
  double unit = pow(10, floor(log10(rough))), lead = rough / unit;
  return unit * (lead < 1.4 ? 1 : lead < 3 ? 2 : lead < 7 ? 5 : 10);
}

/* The distance of tics that gives as many as their labels have room. */
static double tic_step(const figure *f) {
  const double share = (f->right_edge - figure_left_edge(f)) / (f->panels > 1 ? 2 : 1);
  return round_step((f->x_most - f->x_least) / fmax(share * (f->is_column ? 4.7 : 7), 2.5));
}

/* The same for the y axes of panels, which are lower than a plot, in two rows (plots/curves.gp)
 * much lower. */
static double panel_tic_step(const figure *f) {
  const bool is_low = f->panels > 3;
  return round_step((f->y_most - f->y_least) / (is_low ? (f->is_column ? 3.2 : 4) : 6));
}

static void write_script(const figure *f, const char *name, const char *formats, const char *plots,
                         const char *template_name, const char *template_path, strbuf *out) {
  char list[64], *rest = list, *format;
  strbuf text = {0};
  strbuf_format(out, "# Drawn by flipbench; 'gnuplot -d %s.gp' in this folder draws it again.\n",
                name);
  strbuf_append(out, "plots_folder = ");
  figure_append_quoted(out, plots);
  strbuf_append(out, "\nout = ");
  figure_append_quoted(out, name);
  strbuf_format(out,
                "\n%sx_least = %.10g; x_most = %.10g\ny_least = %.10g; y_most = %.10g\n"
                "series = %d; has_band = %d; has_marks = %d; is_column = %d\n"
                "panels = %d; is_x_log = %d; left_edge = %.4f; right_edge = %.4f\n"
                "legend_lines = %zu; tic_step = %.10g; panel_tic_step = %.10g\n",
                strbuf_string(&f->variables), f->x_least, f->x_most, f->y_least, f->y_most,
                f->series, f->has_band, f->has_marks, f->is_column, f->panels < 2 ? 1 : f->panels,
                f->is_x_log, figure_left_edge(f), f->right_edge,
                f->legend_lines ? f->legend_lines : 1, tic_step(f), panel_tic_step(f));
  if (f->series) {
    strbuf_format(out, "array panel_of[%d]\narray colour_of[%d]\n", f->series, f->series);
    for (int i = 0; i < f->series; i++)
      strbuf_format(out, "panel_of[%d] = %d; colour_of[%d] = %d\n", i + 1, f->panel_of[i], i + 1,
                    f->colour_of[i]);
  }
  if (f->points.length) strbuf_format(out, "$points << EOD\n%sEOD\n", f->points.data);
  if (f->bands.length) strbuf_format(out, "$bands << EOD\n%sEOD\n", f->bands.data);
  if (f->tuning.length) strbuf_format(out, "$tuning << EOD\n%sEOD\n", f->tuning.data);
  const strbuf *parts[] = {&f->variables, &f->points, &f->tuning, &f->bands, &f->ends};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    out->is_broken = out->is_broken || parts[i]->is_broken;
  snprintf(list, sizeof list, "%s", formats);
  strbuf_append(out, "template = ");
  if (template_path) {
    figure_append_quoted(out, template_path);
  } else {
    strbuf_append(out, "plots_folder.");
    strbuf_format(&text, "/%s.gp", template_name);
    figure_append_quoted(out, strbuf_string(&text));
    strbuf_free(&text);
  }
  strbuf_append_char(out, '\n');
  while ((format = strsep(&rest, ",")))
    strbuf_format(out,
                  "format = '%s'\nload plots_folder.'/theme.gp'\n%sload template\n"
                  "unset output; reset\n",
                  format, strbuf_string(&f->ends));
}

/* Runs gnuplot in `folder` on NAME.gp, without the user's ~/.gnuplot, whose settings (another
 * separator of columns) would change the figure or leave it empty, and without GNUTERM, the name of
 * a terminal that this gnuplot may lack; anything it prints is treated as an error. */
static err run_gnuplot(const char *folder, const char *name) {
  strbuf script = {0}, said = {0};
  int status;
  strbuf_format(&script, "%s.gp", name);
  if (script.is_broken) return mem_error(0, "a figure");
  char *words[] = {"env", "-u", "GNUTERM", "gnuplot", "-d", script.data, NULL};
  err error = command_read(&(command_call){.words = words, .folder = folder}, true, &said, &status);
  int code = error ? 0 : command_exit_status(status);
  if (code == COMMAND_NOT_FOUND && access(folder, X_OK) != 0)
    error = err_errno(errno, "%s", folder);
  else if (code == COMMAND_NOT_FOUND)
    error = err_new(ERR_UNSUPPORTED, "gnuplot is not installed (apt install gnuplot-nox)");
  else if (code < 0)
    error = err_new(ERR_INTERNAL, "gnuplot was killed by signal %d (%s) at %s/%s", -code,
                    strsignal(-code), folder, script.data);
  else if (code > 0)
    error = err_new(ERR_INTERNAL, "gnuplot failed on %s/%s: %.2000s", folder, script.data,
                    strbuf_string(&said));
  strbuf_free(&script);
  strbuf_free(&said);
  return error;
}

/* The path from any folder: gnuplot runs in the folder of the figure. */
static err make_absolute(const char *path, char **absolute) {
  *absolute = path ? realpath(path, NULL) : NULL;
  return path && !*absolute ? err_errno(errno, "%s", path) : NULL;
}

static err tidy_svg(const figure *f, const char *name, const char *folder, const char *formats) {
  strbuf path = {0};
  strbuf_format(&path, "%s/%s.svg", folder, name);
  bool is_svg = strstr(formats, "svg");
  err error = path.is_broken || f->title.is_broken ? mem_error(0, "a figure")
              : is_svg ? figure_svg_tidy(strbuf_string(&path), strbuf_string(&f->title))
                       : NULL;
  strbuf_free(&path);
  return error;
}

err figure_draw(const figure *f, const char *name, const char *folder, const char *formats,
                const char *template_name, const char *template_path) {
  err error = NULL;
  strbuf script = {0}, path = {0};
  char *plots = NULL, *plots_path = NULL, *own_template = NULL;
  TRY(find_plots(&plots));
  TRY(make_absolute(plots, &plots_path));
  TRY(make_absolute(template_path, &own_template));
  write_script(f, name, formats, plots_path, template_name, own_template, &script);
  strbuf_format(&path, "%s/%s.gp", folder, name);
  if (script.is_broken || path.is_broken) TRY(mem_error(script.length, "a figure"));
  TRY(fs_write_atomic(strbuf_string(&path), script.data, script.length));
  TRY(run_gnuplot(folder, name));
  TRY(figure_check_files(folder, name, formats));
  TRY(tidy_svg(f, name, folder, formats));
cleanup:
  free(plots);
  free(plots_path);
  free(own_template);
  strbuf_free(&script);
  strbuf_free(&path);
  return error;
}
