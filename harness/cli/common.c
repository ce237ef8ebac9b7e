#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "cli/cli.h"
#include "store/experiments.h"
#include "store/runs.h"

err cli_find_place(cli_place *place) {
  const char *variable = getenv("FLIPBENCH_DB");
  if (place->db)
    place->path = mem_copy_string(place->db);
  else if (variable && *variable)
    place->path = mem_copy_string(variable);
  else
    place->path = fs_join(place->results, "flipbench.db");
  return place->path ? NULL : mem_error(0, "a path");
}

/* A word as a shell reads it, without quotes where it needs none. */
static void append_word(const char *word, strbuf *out) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "_-./:=,@%+";
  if (*word && strspn(word, plain) == strlen(word)) {
    strbuf_format(out, " %s", word);
    return;
  }
  strbuf_append_char(out, ' ');
  strbuf_quote(out, word);
}

static void append_option(const char *name, const char *value, strbuf *out) {
  strbuf_format(out, " --%s", name);
  append_word(value, out);
}

void cli_write_command(const char *verb, const char *given, const cli_place *place,
                       const cli_changes *changes, strbuf *out) {
  strbuf_format(out, "flipbench %s", verb);
  append_word(given, out);
  if (changes->profile) append_option("profile", changes->profile, out);
  for (size_t i = 0; i < changes->set->count; i++)
    append_option("set", changes->set->items[i], out);
  for (size_t i = 0; i < changes->set_cell->count; i++)
    append_option("set-cell", changes->set_cell->items[i], out);
  if (strcmp(place->results, "results") != 0) append_option("results", place->results, out);
  if (place->db) append_option("db", place->db, out);
}

void cli_name_ranks(const spec_cell *cell, strbuf *out) {
  if (cell->ranks.ranks < 2) return;
  strbuf_format(out, " · %lld ranks", (long long)cell->ranks.ranks);
  if (cell->ranks.nodes > 1) strbuf_format(out, " on %lld nodes", (long long)cell->ranks.nodes);
}

err cli_one_word(const option_list *words, const char *what, const char **word) {
  if (words->count == 0) return err_new(ERR_INPUT, "%s is missing (see --help)", what);
  if (words->count > 1)
    return err_new(ERR_INPUT, "expected one %s, got %zu: '%s'", what, words->count,
                   words->items[1]);
  *word = words->items[0];
  return NULL;
}

run_again cli_read_retry(const char *word) {
  if (!word) return AGAIN_NONE;
  if (strcmp(word, "disturbed") == 0) return AGAIN_DISTURBED;
  return strcmp(word, "data") == 0 ? AGAIN_DATA : AGAIN_FAILED;
}

bool cli_has_reader(void) {
  struct pollfd end = {.fd = STDOUT_FILENO};
  return !(poll(&end, 1, 0) > 0 && (end.revents & POLLERR));
}

err cli_print(const strbuf *text) {
  if (text->is_broken) return mem_error(text->length, "the output");
  err error = fs_write_all(STDOUT_FILENO, strbuf_string(text), text->length, "standard output");
  if (!error || cli_has_reader()) return error;
  err_free(error);
  return NULL;
}

/* An unknown name gets the list of known ones. */
static err unknown_name(store *s, const char *name) {
  strbuf known = {0};
  store_names names;
  err error = store_list_experiments(s, &names);
  for (size_t i = 0; i < names.count; i++)
    strbuf_format(&known, "%s%s", i ? ", " : "", names.items[i]);
  if (!error)
    error = err_new(ERR_INPUT, "'%s' is neither a file nor an experiment run here (%s%s)", name,
                    known.length ? "known: " : "none so far", strbuf_string(&known));
  store_free_names(&names);
  strbuf_free(&known);
  return error;
}

/* Where an experiment file is; a bare word is the name of a shipped one before it is any other
 * file.
 */
static char *find_file(const char *given, bool looks_like_file) {
  if (looks_like_file) return shipped_or_given(given);
  strbuf name = {0};
  strbuf_format(&name, "experiments/%s.yaml", given);
  char *path = name.is_broken ? NULL : shipped_or_given(name.data);
  strbuf_free(&name);
  if (path && !fs_exists(path)) {
    free(path);
    path = mem_copy_string(given);
  }
  return path;
}

static bool is_axis_everywhere(const spec_experiment *e, const char *key) {
  for (size_t i = 0; i < e->cell_count; i++)
    if (!spec_pairs_get(&e->cells[i].axes, key)) return false;
  return e->cell_count > 0;
}

/* A setting is below the matrix: one of an axis would change no cell. */
static err refuse_axes(const spec_experiment *e, const spec_options *options) {
  for (size_t i = 0; i < options->set_count; i++) {
    const char *value = strchr(options->set[i], '=');
    char key[64];
    if (!value) continue;
    snprintf(key, sizeof key, "%.*s", (int)(value - options->set[i]), options->set[i]);
    const char *other = settings_alternative(key);
    if (other && is_axis_everywhere(e, other))
      return err_new(ERR_INPUT,
                     "--set %s: %s is an axis of the matrix and gives the same in another way, "
                     "which would override it; for other cells change the matrix, or add a profile "
                     "with another one and run it with --profile",
                     options->set[i], other);
    if (is_axis_everywhere(e, key))
      return err_new(ERR_INPUT,
                     "--set %s: %s is an axis of the matrix, which would override it; for other "
                     "cells change the matrix, or add a profile with 'matrix: {%s: [%s]}' and run "
                     "it with --profile",
                     options->set[i], key, key, value + 1);
  }
  return NULL;
}

static err load_file(const char *path, const spec_options *options, spec_experiment **e) {
  err error = spec_load(path, options, e);
  if (!error) error = refuse_axes(*e, options);
  if (!error) return NULL;
  spec_free(*e);
  *e = NULL;
  return error;
}

/* The record of NAME, or with a profile that of NAME@PROFILE, which may have been run with other
 * settings. A profile that was not run yet is of NAME's file; *is_as_run: the record is of what was
 * asked for, so its settings from the command line are too. */
static err find_recorded(store *s, const char *name, const char *profile, store_experiment *r,
                         bool *is_as_run) {
  strbuf whole = {0};
  if (profile) strbuf_format(&whole, "%s@%s", name, profile);
  err error = whole.is_broken ? mem_error(0, "a name") : NULL;
  if (!error) error = store_find_experiment(s, profile ? whole.data : name, r);
  strbuf_free(&whole);
  *is_as_run = !error && r->is_known;
  if (error || r->is_known || !profile) return error;
  store_free_experiment(r);
  return store_find_experiment(s, name, r);
}

err cli_load_experiment(store *s, const char *results, const char *given,
                        const spec_options *options, spec_experiment **e) {
  /* a bare word is a name first: the source tree has a program called quickstart */
  bool looks_like_file = strchr(given, '/') || strstr(given, ".y");
  if (!s || looks_like_file) {
    char *path = find_file(given, looks_like_file);
    if (!path) return mem_error(strlen(given), "a path");
    err loaded = fs_exists(path) && !fs_is_folder(path)
                     ? load_file(path, options, e)
                     : err_new(ERR_INPUT, "%s: no such experiment file", given);
    free(path);
    return loaded;
  }
  store_experiment r;
  bool is_as_run;
  err error = find_recorded(s, given, options->profile, &r, &is_as_run);
  if (error) return error;
  spec_options as_run = *options;
  if (*r.profile && !as_run.profile) as_run.profile = r.profile;
  if (is_as_run && !as_run.set_count && !as_run.set_cell_count) {
    as_run.set = (const char *const *)r.set.items;
    as_run.set_count = r.set.count;
    as_run.set_cell = (const char *const *)r.set_cell.items;
    as_run.set_cell_count = r.set_cell.count;
  }
  error = r.is_known ? cli_load_recorded(results, r.path, &as_run, e) : unknown_name(s, given);
  store_free_experiment(&r);
  return error;
}

void cli_tell_notices(const spec_experiment *e) {
  for (size_t i = 0; i < e->notices.count; i++) log_info("%s", e->notices.items[i]);
}

/* Prefixes of cell ids are shown with 8 digits: fewer, all decimal, are a run's number, whether
 * there is such a run or not. */
static bool is_number(const char *word) {
  return strlen(word) < 7 && strspn(word, "0123456789") == strlen(word);
}

err cli_find_run(store *s, const char *word, int64_t *run_id) {
  size_t cells;
  *run_id = 0;
  if (is_number(word)) {
    bool is_there;
    err error = store_has_run(s, (int64_t)atoll(word), &is_there);
    if (error || !is_there)
      return error ? error
                   : err_new(ERR_INPUT,
                             "there is no run %s (for the cell whose id begins so, give 7 or more "
                             "digits of it)",
                             word);
    *run_id = (int64_t)atoll(word);
    return NULL;
  }
  err error = store_match_cells(s, word, &cells, run_id);
  if (error) return error;
  if (cells > 1)
    return err_new(ERR_INPUT, "%zu cells match the id prefix '%s'; give more digits", cells, word);
  if (!*run_id && cells) return err_new(ERR_INPUT, "cell %s has not been run yet", word);
  if (!*run_id)
    return err_new(ERR_INPUT, "'%s' is neither a run number nor a prefix of a cell id", word);
  return NULL;
}

int cli_split_words(int argc, char **argv, option_list *words) {
  static const char *usual[] = {"bench", "step", "--json"};
  int at = 1;
  while (at + 1 < argc && strcmp(argv[at], "--") != 0) at++;
  bool is_split = at + 1 < argc;
  *words = is_split ? (option_list){(const char **)argv + at + 1, (size_t)(argc - at - 1)}
                    : (option_list){usual, sizeof usual / sizeof *usual};
  return is_split ? at : argc;
}
