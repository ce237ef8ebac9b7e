/* The files that an experiment's results are shown in: figures and the page. */
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "report/html.h"
#include "report/plot.h"
#include "store/experiments.h"
#include "store/runs.h"

err cli_close_gone(const char *results, store *s) {
  store_run_line *runs;
  size_t count;
  err error = store_list_runs(s, &(store_run_filter){0}, &runs, &count);
  for (size_t i = 0; i < count && !error; i++) {
    if (strcmp(runs[i].status, "running") != 0 || runs[i].is_archived) continue;
    err refused = run_close_gone(s, results, runs[i].directory);
    if (refused && err_kind_of(refused) == ERR_MEMORY)
      error = refused;
    else
      err_free(refused);
  }
  store_free_run_lines(runs, count);
  return error;
}

err cli_read_tasks(const char *results, const spec_experiment *e, store *s, char **why) {
  strbuf jobs = {0};
  *why = NULL;
  strbuf_format(&jobs, "%s/%s/slurm/jobs.tsv", results, e->name);
  err unread = jobs.is_broken ? mem_error(0, "a path") : NULL;
  if (!unread && fs_exists(jobs.data)) unread = run_read_new(e, s, results);
  strbuf_free(&jobs);
  if (!unread || err_kind_of(unread) == ERR_MEMORY) return unread;
  *why = mem_copy_string(err_message(unread));
  err_free(unread);
  return *why ? NULL : mem_error(0, "a message");
}

void cli_warn_unread(const char *name, const char *why) {
  if (why) log_warning("%s: what its tasks have recorded since is not shown: %s", name, why);
}

static err read_tasks(const char *results, const spec_experiment *e, store *s) {
  char *why;
  err error = cli_read_tasks(results, e, s, &why);
  cli_warn_unread(e->name, why);
  free(why);
  return error;
}

err cli_catch_up(const char *results, const spec_experiment *e, store *s) {
  err error = read_tasks(results, e, s);
  return error ? error : cli_close_gone(results, s);
}

err cli_catch_up_all(const char *results, store *s) {
  store_names names = {0};
  err error = store_list_experiments(s, &names);
  for (size_t i = 0; i < names.count && !error; i++) {
    spec_experiment *e = NULL;
    strbuf jobs = {0};
    strbuf_format(&jobs, "%s/%s/slurm/jobs.tsv", results, names.items[i]);
    if (jobs.is_broken)
      error = mem_error(0, "a path");
    else if (fs_exists(jobs.data)) { /* one whose file is gone keeps what is recorded */
      err unread = cli_load_experiment(s, results, names.items[i], &(spec_options){0}, &e);
      if (!unread) unread = read_tasks(results, e, s);
      if (unread && err_kind_of(unread) == ERR_MEMORY)
        error = unread;
      else
        err_free(unread);
    }
    spec_free(e);
    strbuf_free(&jobs);
  }
  store_free_names(&names);
  return error ? error : cli_close_gone(results, s);
}

err cli_write_page(const char *results, const spec_experiment *e, store *s, const char *path) {
  strbuf page = {0}, folder = {0}, home = {0};
  strbuf_format(&folder, "%s/%s/plots", results, e->name);
  strbuf_format(&home, "%s/%s/report.html", results, e->name);
  /* a page written elsewhere would lead to an index that is not there */
  const char *index = strcmp(path, strbuf_string(&home)) == 0 ? "../index.html" : NULL;
  err error = home.is_broken ? mem_error(0, "the page") : cli_catch_up(results, e, s);
  if (!error) error = html_write(e, s, strbuf_string(&folder), index, &page);
  if (!error && page.is_broken) error = err_new(ERR_MEMORY, "out of memory: the page");
  if (!error) error = fs_write_atomic(path, page.data, page.length);
  strbuf_free(&page);
  strbuf_free(&folder);
  strbuf_free(&home);
  return error ? error : cli_write_index(results, s);
}

err cli_write_index(const char *results, store *s) {
  strbuf page = {0}, path = {0};
  strbuf_format(&path, "%s/index.html", results);
  err error = html_write_index(s, results, &page);
  if (!error && page.is_broken) error = err_new(ERR_MEMORY, "out of memory: the page");
  if (!error) error = fs_write_atomic(strbuf_string(&path), page.data, page.length);
  strbuf_free(&page);
  strbuf_free(&path);
  return error;
}

err cli_draw(const spec_experiment *e, store *s, const plot_options *options,
             plot_results *results) {
  err error = plot_all(e, s, options, results);
  for (size_t i = 0; i < results->count && !error; i++)
    if (results->items[i].why)
      log_warning("figure %s not drawn: %s", results->items[i].name, results->items[i].why);
  return error;
}

err cli_write_outputs(const char *results, const spec_experiment *e, store *s) {
  strbuf folder = {0}, page = {0}, said = {0};
  plot_results figures = {0};
  strbuf_format(&folder, "%s/%s/plots", results, e->name);
  strbuf_format(&page, "%s/%s/report.html", results, e->name);
  const plot_options plot = {.folder = strbuf_string(&folder), .formats = "svg,png"};
  err error = NULL;
  if (e->report.plots.count) error = cli_draw(e, s, &plot, &figures);
  if (!error) error = cli_write_page(results, e, s, strbuf_string(&page));
  if (error) goto cleanup;
  strbuf_append(&said, "\n");
  size_t drawn = 0;
  for (size_t i = 0; i < figures.count; i++)
    if (!figures.items[i].why)
      strbuf_format(&said, "%s %s/%s.png\n", drawn++ ? "       " : "figures", plot.folder,
                    figures.items[i].name);
  if (drawn) strbuf_append(&said, "        (also .svg and the gnuplot script of each)\n");
  strbuf_format(&said, "report  %s\n", strbuf_string(&page));
  error = cli_print(&said);
cleanup:
  plot_free(&figures);
  strbuf_free(&folder);
  strbuf_free(&page);
  strbuf_free(&said);
  return error;
}
