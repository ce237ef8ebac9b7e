#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "report/agreement.h"
#include "report/write.h"
#include "run/bundle.h"

static const char details[] =
    "Unpacks BUNDLE into --out, checks every digest, makes the table from the recorded runs, then\n"
    "trains every cell here and says which numbers agree. Start it in the folder that the\n"
    "experiment's data paths are relative to (where data/ is). Can be stopped and started again.\n"
    "\n"
    "A number agrees when it is equal, is printed alike, or lies within the intervals over seeds.\n"
    "Speed, time and memory are this machine's own: shown, not judged.\n"
    "\n"
    "examples:\n"
    "  flipbench reproduce quickstart.flipbench.tar.gz\n"
    "  flipbench reproduce quickstart.flipbench.tar.gz --no-run      the recorded table alone\n"
    "\n"
    "exit status: 0 all numbers agree; 1 some do not, or cells failed; 2 wrong usage or bundle";

typedef struct {
  const char *bundle, *out;
  bool runs;
  int64_t jobs;
  char folder[PATH_MAX]; /* absolute, of what was unpacked: OUT/NAME */
} reproduction;

/* `name` of the starting folder is made visible in the bundle's: whole when the bundle has nothing
 * of that name, else entry by entry. */
static err link_into(const char *from, const char *files, const char *name) {
  char **names = NULL;
  size_t count = 0;
  char *source = fs_join(from, name), *target = fs_join(files, name);
  err error = source && target ? NULL : mem_error(0, "a path");
  if (!error && !fs_exists(source))
    error = err_new(ERR_INPUT,
                    "%s: the experiment's data is not here; start 'flipbench reproduce' in the "
                    "folder where it is (for openclipart: flip data openclipart --out "
                    "data/openclipart)",
                    source);
  if (!error && !fs_exists(target) && symlink(source, target) != 0 && errno != EEXIST)
    error = err_errno(errno, "%s: cannot link", target);
  else if (!error && fs_is_folder(target) && fs_is_folder(source))
    error = fs_list(source, &names, &count);
  for (size_t i = 0; i < count && !error; i++) {
    char *inner = fs_join(source, names[i]), *made = fs_join(target, names[i]);
    if (!inner || !made)
      error = mem_error(0, "a path");
    else if (!fs_exists(made) && symlink(inner, made) != 0 && errno != EEXIST)
      error = err_errno(errno, "%s: cannot link", made);
    free(inner);
    free(made);
  }
  fs_free_names(names, count);
  free(source);
  free(target);
  return error;
}

static err link_data(const spec_experiment *e, const char *from, const char *files) {
  err error = NULL;
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    const settings *s = &e->cells[i].settings;
    for (size_t k = 0; k < s->data_train.count && !error; k++) {
      char first[256];
      const char *path = s->data_train.items[k];
      if (*path == '/') continue;
      snprintf(first, sizeof first, "%.*s", (int)strcspn(path, "/*{?["), path);
      bool is_pattern = path[strlen(first)] != '/' && path[strlen(first)] != '\0';
      if (!is_pattern) error = link_into(from, files, first);
    }
  }
  return error;
}

/* The table that the records in `results` give. */
static err table_of(const spec_experiment *e, const char *results, report_table **table) {
  char *path = fs_join(results, "flipbench.db");
  store *s = NULL;
  size_t runs;
  err error = path ? run_rebuild(path, results, &runs) : mem_error(0, "a path");
  if (!error) error = store_open_existing(path, &s);
  if (!error) error = report_build(e, s, table);
  store_close(s);
  free(path);
  return error;
}

/* The records must give the table that was packed beside them. */
static err check_packed_table(const report_table *table, const char *folder) {
  char *path = fs_join(folder, "table.json"), *packed = NULL;
  size_t length;
  strbuf made = {0};
  err error = path ? fs_read(path, &packed, &length) : mem_error(0, "a path");
  report_write_json(table, &made);
  if (!error && strcmp(strbuf_string(&made), packed) != 0)
    log_warning("the table made from the bundle's records is not the one packed in it "
                "(another flipbench made it?)");
  else if (!error)
    log_info("the bundle's records give its table");
  free(path);
  free(packed);
  strbuf_free(&made);
  return error;
}

static err run_here(const reproduction *r, const spec_experiment *e, const char *results,
                    bool *all_finished) {
  run_sweep sweep = {0};
  store *s = NULL;
  char *flip = NULL, *path = fs_join(results, "flipbench.db");
  run_options options = {.results = results, .jobs = (int)r->jobs, .shows_progress = true};
  err error = NULL;
  if (!path) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(run_find_flip(&flip));
  options.flip = flip;
  TRY(store_open(path, &s));
  TRY(run_plan(e, s, &options, &sweep));
  if (run_count(&sweep, CELL_WAITING)) TRY(run_all(e, s, &options, &sweep));
  *all_finished = run_count(&sweep, CELL_FINISHED) == sweep.count;
  if (sweep.is_interrupted)
    FAIL(ERR_INTERRUPTED, "interrupted; the same command goes on from here");
cleanup:
  run_free(&sweep);
  store_close(s);
  free(path);
  free(flip);
  return error;
}

static err print_agreement(const report_table *first, const report_table *again, bool *agrees) {
  agreement_count n;
  strbuf list = {0}, out = {0};
  agreement_write(first, again, &list, &n);
  report_write_text(again, &(report_style){0}, &out);
  size_t judged = n.same + n.printed + n.within + n.differing + n.missing;
  strbuf_format(&out,
                "\n%zu of %zu numbers agree with the bundle: %zu equal, %zu as printed, %zu "
                "within the intervals over seeds\n",
                judged - n.differing - n.missing, judged, n.same, n.printed, n.within);
  strbuf_append(&out, strbuf_string(&list));
  *agrees = n.differing + n.missing == 0;
  err error = cli_print(&out);
  strbuf_free(&list);
  strbuf_free(&out);
  return error;
}

static err print_table(const report_table *table) {
  strbuf out = {0};
  report_write_text(table, &(report_style){0}, &out);
  err error = cli_print(&out);
  strbuf_free(&out);
  return error;
}

static err reproduce(const reproduction *r, const bundle_manifest *m, const char *from,
                     bool *is_fine) {
  report_table *recorded = NULL, *again = NULL;
  spec_experiment *e = NULL;
  char *files = fs_join(r->folder, "files"), *results = fs_join(r->folder, "results");
  char *fresh = fs_join(r->folder, "again");
  bool all_finished = false;
  err error = NULL;
  if (!files || !results || !fresh) FAIL(ERR_MEMORY, "out of memory: a path");
  if (chdir(files) != 0) FAIL(ERR_IO, "%s: cannot be entered", files);
  spec_options spec = {.profile = *m->profile ? m->profile : NULL};
  TRY(spec_load(m->experiment, &spec, &e));
  TRY(table_of(e, results, &recorded));
  TRY(check_packed_table(recorded, r->folder));
  if (!r->runs) {
    *is_fine = true;
    error = print_table(recorded);
    goto cleanup;
  }
  TRY(link_data(e, from, files));
  TRY(run_here(r, e, fresh, &all_finished));
  TRY(table_of(e, fresh, &again));
  TRY(print_agreement(recorded, again, is_fine));
  *is_fine = *is_fine && all_finished;
cleanup:
  report_free(recorded);
  report_free(again);
  spec_free(e);
  free(files);
  free(results);
  free(fresh);
  return error;
}

int cli_reproduce(int argc, char **argv) {
  reproduction r = {.out = "reproduced", .runs = true, .jobs = 1};
  bool is_help_wanted = false, is_fine = false;
  option options[] = {{"out", 'o', OPTION_STRING, &r.out, "DIR",
                       "where it is unpacked and run [reproduced]", false},
                      {"run", 0, OPTION_FLAG, &r.runs, NULL,
                       "train here [on; --no-run shows what is recorded]", false},
                      {"jobs", 'j', OPTION_INTEGER, &r.jobs, "N", "cells at once [1]", false},
                      {0}};
  command c = {"flipbench reproduce", "run a bundle here and compare its table", "BUNDLE [OPTIONS]",
               options, details};
  option_list rest = {0};
  bundle_manifest m = {0};
  char from[PATH_MAX], out[PATH_MAX];
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  is_fine = is_help_wanted;
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "BUNDLE", &r.bundle));
  if (r.jobs < 1 || r.jobs > 64)
    FAIL(ERR_INPUT, "--jobs: %lld is not between 1 and 64", (long long)r.jobs);
  TRY(bundle_extract(r.bundle, r.out, &m));
  if (!getcwd(from, sizeof from) || !realpath(r.out, out))
    FAIL(ERR_IO, "%s: cannot be entered", r.out);
  if (snprintf(r.folder, sizeof r.folder, "%s/%s", out, m.name) >= (int)sizeof r.folder)
    FAIL(ERR_INPUT, "%s: too long a path", out);
  log_info("%s, made %.10s at commit %.10s; training data %s", m.name, m.created, m.commit, m.data);
  TRY(reproduce(&r, &m, from, &is_fine));
cleanup:
  bundle_free(&m);
  options_free_list(&rest);
  options_free(options);
  return error ? options_exit_status(error) : !is_fine;
}
