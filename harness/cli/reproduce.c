#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/reproduce_said.h"
#include "report/agreement_table.h"
#include "report/table_changes.h"
#include "report/write.h"
#include "exchange/localise.h"
#include "exchange/recorded.h"
#include "exchange/trained_inputs.h"

static const char details[] =
    "Unpacks BUNDLE into --out, verifies every digest, rebuilds the table from the recorded runs,\n"
    "compares the local data with the recorded data, trains every cell here, and prints both "
    "tables\n"
    "side by side. Run it in the folder that the experiment's data paths are relative to (the one "
    "with\n"
    "data/), or name folders with --data: each path is looked up in full and by its last parts. "
    "Can be\n"
    "interrupted and started again; on other data than the runs in OUT/NAME/again were trained "
    "on,\n"
    "that folder must be removed first.\n"
    "\n"
    "A number agrees when it is equal, prints the same, or lies within the intervals over seeds.\n"
    "Speed, time and memory depend on the machine: they are shown but not judged.\n"
    "\n"
    "examples:\n"
    "  flipbench reproduce quickstart.flipbench.tar.gz\n"
    "  flipbench reproduce quickstart.flipbench.tar.gz --no-run      the recorded table alone\n"
    "  flipbench reproduce large.flipbench.tar.gz --data /mnt/laion\n"
    "\n"
    "exit status: 0 all numbers agree; 1 some do not, none could be judged, or cells failed; 2 "
    "usage\n"
    "error, invalid bundle, or data that is missing or differs";

typedef struct {
  const char *bundle, *out;
  bool runs, takes_other_data, allows_commands;
  int64_t jobs;
  option_list data;
  char **folders;        /* --data, absolute; owned */
  char from[PATH_MAX];   /* the folder it was started in */
  char folder[PATH_MAX]; /* absolute, of what was unpacked: OUT/NAME */
  char start[PATH_MAX];  /* absolute, where paths begin in it */
} reproduction;

/* A recorded table and its origin. */
typedef struct {
  report_table *table;
  said_origin origin;
} record;

static void free_record(record *r) {
  report_free(r->table);
  said_free_origin(&r->origin);
}

/* The results computed from the records in `results`. */
static err read_record(const spec_experiment *e, const char *results, record *r) {
  char *path = fs_join(results, "flipbench.db");
  store *s = NULL;
  size_t runs;
  err error = path ? run_rebuild(path, results, &runs) : mem_error(0, "a path");
  if (!error) error = store_open_existing(path, &s);
  if (!error) error = report_build(e, s, &r->table);
  if (!error) error = said_read_origin(s, e->name, &r->origin);
  store_close(s);
  free(path);
  return error;
}

/* The records must reproduce the packed table. */
static err check_packed_table(const report_table *table, const char *folder) {
  char *path = fs_join(folder, "table.json"), *packed = NULL;
  size_t length, count = 0;
  strbuf made = {0}, told = {0};
  err error = path ? fs_read(path, &packed, &length) : mem_error(0, "a path");
  report_write_json(table, &made);
  if (!error) error = table_changes(packed, strbuf_string(&made), &told, &count);
  if (!error && count)
    log_warning("the table made from the bundle's records differs from the one packed in it; it "
                "may have been made by another version of flipbench (packed → made here):\n%s",
                strbuf_string(&told));
  else if (!error)
    log_info("the bundle's records reproduce its table");
  free(path);
  free(packed);
  strbuf_free(&made);
  strbuf_free(&told);
  return error;
}

/* Before hours of training whose rows would be compared with none. */
static err check_recipe(const spec_experiment *e, const char *results, const char *commit) {
  char *path = fs_join(results, "flipbench.db");
  store *s = NULL;
  err error = path ? store_open_existing(path, &s) : mem_error(0, "a path");
  if (!error) error = cli_refuse_other_recipes(s, e, commit);
  store_close(s);
  free(path);
  return error;
}

/* ---- permissions of a bundle ---- */

/* Variables that choose how fast a trainer is, where it runs and what its libraries print, all
 * known to load no other code. Of all others that cannot be known: every library reads its own, of
 * which some name programs or plugins (LD_PRELOAD, OPAL_LIBDIR, UCX_MODULE_DIR). */
static bool loads_no_code(const char *variable) {
  static const char *const names[] = {"CUBLAS_WORKSPACE_CONFIG",
                                      "CUDA_DEVICE_MAX_CONNECTIONS",
                                      "CUDA_DEVICE_ORDER",
                                      "CUDA_LAUNCH_BLOCKING",
                                      "CUDA_MODULE_LOADING",
                                      "CUDA_VISIBLE_DEVICES",
                                      "FLIP_COMM",
                                      "FLIP_CPU_KERNELS",
                                      "FLIP_PRODUCT_SEARCH_MS",
                                      "FLIP_RENDEZVOUS_SECONDS",
                                      "GOMP_CPU_AFFINITY",
                                      "GOMP_SPINCOUNT",
                                      "MALLOC_ARENA_MAX",
                                      "MALLOC_MMAP_THRESHOLD_",
                                      "MALLOC_TOP_PAD_",
                                      "MALLOC_TRIM_THRESHOLD_",
                                      "NCCL_ALGO",
                                      "NCCL_BUFFSIZE",
                                      "NCCL_DEBUG",
                                      "NCCL_IB_DISABLE",
                                      "NCCL_IB_HCA",
                                      "NCCL_MAX_NCHANNELS",
                                      "NCCL_MIN_NCHANNELS",
                                      "NCCL_NVLS_ENABLE",
                                      "NCCL_P2P_DISABLE",
                                      "NCCL_PROTO",
                                      "NCCL_SHM_DISABLE",
                                      "NCCL_SOCKET_IFNAME",
                                      "NVIDIA_TF32_OVERRIDE",
                                      "OMP_DYNAMIC",
                                      "OMP_NUM_THREADS",
                                      "OMP_PLACES",
                                      "OMP_PROC_BIND",
                                      "OMP_SCHEDULE",
                                      "OMP_STACKSIZE",
                                      "OMP_THREAD_LIMIT",
                                      "OMP_WAIT_POLICY",
                                      "ONEDNN_CPU_ISA_HINTS",
                                      "ONEDNN_DEFAULT_FPMATH_MODE",
                                      "ONEDNN_MAX_CPU_ISA"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(variable, names[i]) == 0) return true;
  return false;
}

/* A bundle is untrusted: running programs from it needs the user's consent. */
static err check_commands(const spec_experiment *e) {
  for (size_t i = 0; i < e->environment.count; i++)
    if (!loads_no_code(e->environment.items[i].key))
      return err_new(ERR_INPUT,
                     "the experiment sets %s=%s for its trainers, which may load other code "
                     "(docs/results.md lists the variables that do not); pass --allow-commands if "
                     "you trust the source of the bundle",
                     e->environment.items[i].key, e->environment.items[i].value);
  for (size_t i = 0; i < e->cell_count; i++) {
    const settings *s = &e->cells[i].settings;
    for (size_t k = 0; k < s->data_train.count; k++)
      if (s->data_allow_pipes && strncmp(s->data_train.items[k], "pipe:", 5) == 0)
        return err_new(ERR_INPUT,
                       "the experiment's data is a command, '%s'; pass --allow-commands if you "
                       "trust the source of the bundle",
                       s->data_train.items[k]);
  }
  return NULL;
}

/* ---- the data ---- */

static err compare_data(const reproduction *r, const bundle_manifest *m, const json_t *here,
                        localise_match *match, strbuf *said) {
  localise_place place = {r->folder, r->start, r->from, r->folders, r->data.count};
  localise_compare(&place, m->inputs, here, said, match);
  if (match->absent && !r->takes_other_data)
    return err_new(ERR_INPUT, "some of what the runs read is missing here:\n%s",
                   strbuf_string(said));
  if (match->different && !r->takes_other_data)
    return err_new(ERR_INPUT,
                   "the local data differs from what the runs read; --other-data trains on it "
                   "anyway:\n%s",
                   strbuf_string(said));
  log_info("%.*s", (int)(said->length ? said->length - 1 : 0), strbuf_string(said));
  return NULL;
}

/* The runs in `results` may be of an earlier call, which found other data. */
static err check_trained(const char *results, const json_t *here) {
  char *path = fs_join(results, "flipbench.db");
  err error = path ? trained_inputs_keep(results, fs_exists(path), here) : mem_error(0, "a path");
  free(path);
  return error;
}

static err find_data(const reproduction *r, const bundle_manifest *m, const char *flip,
                     const char *results, spec_experiment *e, localise_match *match, strbuf *said) {
  localise_place place = {r->folder, r->start, r->from, r->folders, r->data.count};
  json_t *here = NULL;
  err error = localise_inputs(&place, flip, e, &here);
  if (!error) error = compare_data(r, m, here, match, said);
  if (!error) error = check_trained(results, here);
  json_decref(here);
  return error;
}

static err run_here(const reproduction *r, const char *flip, const spec_experiment *e,
                    const char *results, bool *all_finished) {
  run_sweep sweep = {0};
  store *s = NULL;
  char *path = fs_join(results, "flipbench.db");
  /* the same command again tries what failed again, as its cause may be gone */
  run_options options = {.results = results,
                         .flip = flip,
                         .jobs = (int)r->jobs,
                         .limits = spec_limits_not_given,
                         .again = AGAIN_FAILED,
                         .shows_progress = true};
  err error = NULL;
  if (!path) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(store_open(path, &s));
  TRY(run_plan(e, s, &options, &sweep));
  if (run_count(&sweep, CELL_WAITING)) TRY(run_all(e, s, &options, &sweep));
  *all_finished = run_count(&sweep, CELL_FINISHED) == sweep.count;
  if (sweep.is_interrupted) FAIL(ERR_INTERRUPTED, "interrupted; run the same command to continue");
cleanup:
  run_free(&sweep);
  store_close(s);
  free(path);
  return error;
}

static err print_table(const report_table *table) {
  strbuf out = {0};
  report_write_text(table, &(report_style){0}, &out);
  err error = cli_print(&out);
  strbuf_free(&out);
  return error;
}

static err print_both(const record *first, const record *again, const localise_match *data,
                      const strbuf *data_said, bool has_all_cells, bool *agrees) {
  agreement_count n;
  strbuf out = {0};
  report_write_text(again->table, &(report_style){0}, &out);
  strbuf_append_char(&out, '\n');
  err error = agreement_write_table(first->table, again->table, &out, &n);
  strbuf_format(&out, "\n%s", strbuf_string(data_said));
  said_compare_origins(&first->origin, &again->origin, &out);
  said_basis basis = {&n, data, has_all_cells, first->table, &first->origin, &again->origin};
  said_verdict(&basis, &out);
  *agrees = said_is_reproduced(&basis);
  if (!error) error = cli_print(&out);
  strbuf_free(&out);
  return error;
}

static err load_experiment(const reproduction *r, const bundle_manifest *m, spec_experiment **e) {
  spec_options spec = {.profile = *m->profile ? m->profile : NULL,
                       .set = (const char *const *)m->set.items,
                       .set_count = m->set.count,
                       .set_cell = (const char *const *)m->set_cell.items,
                       .set_cell_count = m->set_cell.count,
                       .trains = r->runs};
  localise_place place = {.inside = r->folder, .start = r->start};
  strbuf path = {0}, root = {0};
  strbuf_format(&path, "%s/%s", r->folder, m->experiment);
  strbuf_format(&root, "%s/", r->start);
  bool is_below = strncmp(strbuf_string(&path), root.data, root.length) == 0;
  err error = NULL;
  if (chdir(r->start) != 0) FAIL(ERR_IO, "%s: cannot change to this folder", r->start);
  TRY(localise_bases(&place, m));
  TRY(spec_load(path.data + (is_below ? root.length : 0), &spec, e));
  if (r->runs && !r->allows_commands) TRY(check_commands(*e));
cleanup:
  strbuf_free(&path);
  strbuf_free(&root);
  return error;
}

static err reproduce(const reproduction *r, const bundle_manifest *m, const char *flip,
                     bool *is_fine) {
  record recorded = {0}, again = {0};
  spec_experiment *e = NULL;
  localise_match match = {0};
  strbuf said = {0};
  char *results = fs_join(r->folder, "results"), *fresh = fs_join(r->folder, "again");
  bool all_finished = false;
  err error = NULL;
  if (!results || !fresh) FAIL(ERR_MEMORY, "out of memory: a path");
  TRY(load_experiment(r, m, &e));
  TRY(read_record(e, results, &recorded));
  if (r->runs) TRY(check_recipe(e, results, m->commit));
  TRY(check_packed_table(recorded.table, r->folder));
  if (!r->runs) {
    *is_fine = true;
    error = print_table(recorded.table);
    goto cleanup;
  }
  TRY(find_data(r, m, flip, fresh, e, &match, &said));
  TRY(run_here(r, flip, e, fresh, &all_finished));
  TRY(read_record(e, fresh, &again));
  TRY(recorded_compare(e, results, fresh, &said, &match));
  TRY(print_both(&recorded, &again, &match, &said, all_finished, is_fine));
cleanup:
  free_record(&recorded);
  free_record(&again);
  spec_free(e);
  strbuf_free(&said);
  free(results);
  free(fresh);
  return error;
}

/* Makes paths that are relative to the command's starting folder absolute. */
static err fix_places(reproduction *r, const bundle_manifest *m, char **flip) {
  char out[PATH_MAX], real[PATH_MAX];
  if (!getcwd(r->from, sizeof r->from) || !realpath(r->out, out))
    return err_new(ERR_IO, "%s: cannot change to this folder", r->out);
  if (snprintf(r->folder, sizeof r->folder, "%s/%s", out, m->name) >= (int)sizeof r->folder ||
      snprintf(r->start, sizeof r->start, "%s/files%s%s", r->folder, *m->start ? "/" : "",
               m->start) >= (int)sizeof r->start)
    return err_new(ERR_INPUT, "%s: path too long", out);
  r->folders = mem_zeroed(r->data.count + 1, sizeof *r->folders);
  if (!r->folders) return mem_error(0, "a path");
  for (size_t i = 0; i < r->data.count; i++) {
    if (!realpath(r->data.items[i], real) || !fs_is_folder(real))
      return err_new(ERR_INPUT, "--data: %s: no such folder", r->data.items[i]);
    if (!(r->folders[i] = mem_copy_string(real))) return mem_error(0, "a path");
  }
  err error = r->runs ? run_find_flip(flip) : NULL;
  if (error || !*flip || !realpath(*flip, real)) return error;
  free(*flip);
  *flip = mem_copy_string(real);
  return *flip ? NULL : mem_error(0, "a path");
}

int cli_reproduce(int argc, char **argv) {
  reproduction r = {.out = "reproduced", .runs = true, .jobs = 1};
  bool is_help_wanted = false, is_fine = false;
  option options[] = {{"out", 'o', OPTION_STRING, &r.out, "DIR",
                       "folder to unpack and run it in [reproduced]", false},
                      {"data", 'd', OPTION_LIST, &r.data, "DIR",
                       "a folder that holds the experiment's data (repeatable)", false},
                      {"other-data", 0, OPTION_FLAG, &r.takes_other_data, NULL,
                       "train even if the local data differs from the recorded data", false},
                      {"allow-commands", 0, OPTION_FLAG, &r.allows_commands, NULL,
                       "allow pipe: commands, and environment variables that may load code", false},
                      {"run", 0, OPTION_FLAG, &r.runs, NULL,
                       "train here [on; --no-run only shows the recorded results]", false},
                      {"jobs", 'j', OPTION_INTEGER, &r.jobs, "N", "cells in parallel [1]", false},
                      {0}};
  command c = {"flipbench reproduce", "run a bundle here and compare its table", "BUNDLE [OPTIONS]",
               options, details};
  option_list rest = {0};
  bundle_manifest m = {0};
  char *flip = NULL;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  is_fine = is_help_wanted;
  if (is_help_wanted) goto cleanup;
  TRY(cli_one_word(&rest, "BUNDLE", &r.bundle));
  if (!r.runs && (r.data.count || r.takes_other_data || r.jobs != 1))
    FAIL(ERR_INPUT, "--no-run trains nothing: leave --data, --other-data and --jobs out");
  if (r.jobs < 1 || r.jobs > 64)
    FAIL(ERR_INPUT, "--jobs: %lld is not between 1 and 64", (long long)r.jobs);
  TRY(bundle_extract(r.bundle, r.out, &m));
  TRY(fix_places(&r, &m, &flip));
  log_info("%s, created %.10s at commit %.10s", m.name, m.created, m.commit);
  TRY(reproduce(&r, &m, flip, &is_fine));
cleanup:
  for (size_t i = 0; r.folders && i < r.data.count; i++) free(r.folders[i]);
  free(r.folders);
  free(flip);
  bundle_free(&m);
  options_free_list(&rest);
  options_free(options);
  int status = options_exit_status(error);
  return status ? status : !is_fine;
}
