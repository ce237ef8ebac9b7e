#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "cli/cli.h"
#include "store/sql.h"

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

err cli_one_word(const option_list *words, const char *what, const char **word) {
  if (words->count == 0) return err_new(ERR_INPUT, "%s is missing (see --help)", what);
  if (words->count > 1)
    return err_new(ERR_INPUT, "one %s is wanted, not %zu: '%s'", what, words->count,
                   words->items[1]);
  *word = words->items[0];
  return NULL;
}

run_again cli_read_retry(const char *word) {
  if (!word) return AGAIN_NONE;
  if (strcmp(word, "disturbed") == 0) return AGAIN_DISTURBED;
  return strcmp(word, "data") == 0 ? AGAIN_DATA : AGAIN_FAILED;
}

err cli_print(const strbuf *text) {
  if (text->is_broken) return mem_error(text->length, "the output");
  return fs_write_all(STDOUT_FILENO, strbuf_string(text), text->length, "standard output");
}

/* How an experiment was run last: its file, profile, and settings from the command line. */
typedef struct {
  char *path, *profile;
  spec_names set, set_cell;
} recorded;

static void free_recorded(recorded *r) {
  free(r->path);
  free(r->profile);
  spec_names_free(&r->set);
  spec_names_free(&r->set_cell);
}

static err read_words(store *s, const char *name, const char *sql, spec_names *words) {
  sqlite3_stmt *rows;
  bool more;
  err error = sql_query(s, &rows, sql, "t", name);
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    error = spec_names_add(words, sql_text(rows, 0));
  return error;
}

/* An unknown name gets the list of known ones. */
static err unknown_name(store *s, const char *name) {
  strbuf known = {0};
  sqlite3_stmt *rows;
  bool more;
  err error = sql_query(s, &rows, "SELECT name FROM experiment ORDER BY name", "");
  while (!error && !(error = sql_next(s, rows, &more)) && more)
    strbuf_format(&known, "%s%s", known.length ? ", " : "", sql_text(rows, 0));
  if (!error)
    error = err_new(ERR_INPUT, "'%s' is neither a file nor an experiment that was run (%s%s)", name,
                    known.length ? "known: " : "none was run yet", strbuf_string(&known));
  strbuf_free(&known);
  return error;
}

static err find_recorded(store *s, const char *name, recorded *r) {
  sqlite3_stmt *rows;
  bool has_row;
  err error = sql_query(s, &rows, "SELECT path, profile FROM experiment WHERE name = ?", "t", name);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error) return error;
  if (!has_row) return unknown_name(s, name);
  r->path = mem_copy_string(sql_text(rows, 0));
  r->profile = mem_copy_string(sql_text(rows, 1));
  sql_stop(rows);
  if (!r->path || !r->profile) return mem_error(0, "a path");
  error = read_words(s, name,
                     "SELECT json_each.value FROM experiment, json_each(set_words)"
                     " WHERE name = ? ORDER BY json_each.key",
                     &r->set);
  return error ? error
               : read_words(s, name,
                            "SELECT json_each.value FROM experiment, json_each(set_cell_words)"
                            " WHERE name = ? ORDER BY json_each.key",
                            &r->set_cell);
}

err cli_load_experiment(store *s, const char *given, const spec_options *options,
                        spec_experiment **e) {
  /* a bare word is a name first: the checkout has a program called quickstart */
  bool looks_like_file = strchr(given, '/') || strstr(given, ".y");
  if (!s || looks_like_file) {
    char *path = shipped_or_given(given);
    if (!path) return mem_error(strlen(given), "a path");
    err loaded = fs_exists(path) && !fs_is_folder(path)
                     ? spec_load(path, options, e)
                     : err_new(ERR_INPUT, "%s: there is no such experiment file", given);
    free(path);
    return loaded;
  }
  recorded r = {0};
  err error = find_recorded(s, given, &r);
  spec_options as_run = *options;
  if (!error && *r.profile && !as_run.profile) as_run.profile = r.profile;
  if (!error && !as_run.set_count && !as_run.set_cell_count) {
    as_run.set = (const char *const *)r.set.items;
    as_run.set_count = r.set.count;
    as_run.set_cell = (const char *const *)r.set_cell.items;
    as_run.set_cell_count = r.set_cell.count;
  }
  if (!error) error = spec_load(r.path, &as_run, e);
  free_recorded(&r);
  return error;
}

static bool is_number(const char *word) {
  return strlen(word) < 7 && strspn(word, "0123456789") == strlen(word);
}

err cli_find_run(store *s, const char *word, int64_t *run_id) {
  int64_t found;
  err error = NULL;
  *run_id = 0;
  if (is_number(word)) {
    error = sql_integer(s, 0, run_id, "SELECT id FROM run WHERE id = ?", "i", (int64_t)atoll(word));
    if (error || *run_id) return error;
  }
  error = sql_integer(s, 0, &found,
                      "SELECT count(*) FROM cell WHERE substr(id, 1, length(?1)) = ?1", "t", word);
  if (!error && found > 1)
    return err_new(ERR_INPUT, "%lld cells have an id that starts with '%s'; give more digits",
                   (long long)found, word);
  if (!error)
    error = sql_integer(s, 0, run_id,
                        "SELECT id FROM run WHERE substr(cell_id, 1, length(?1)) = ?1"
                        " ORDER BY archived, status = 'finished' DESC, started DESC, directory DESC"
                        " LIMIT 1",
                        "t", word);
  if (!error && !*run_id && found) return err_new(ERR_INPUT, "cell %s has not been run yet", word);
  if (!error && !*run_id)
    return err_new(ERR_INPUT, "'%s' is neither a run's number nor the start of a cell's id", word);
  return error;
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
