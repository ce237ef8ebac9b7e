/* Finished runs that an experiment's file no longer asks for, because this version trains by other
 * rules (docs/decisions.md, "Recipes are numbered"). */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "store/facts.h"
#include "store/runs.h"

/* The settings of a run, as far as they are single values; those that its record omits are of that
 * time. */
static err read_settings(store *s, int64_t run_id, settings *of_run) {
  store_fact *facts = NULL;
  size_t count = 0;
  err error = settings_init_recorded(of_run);
  if (error) return error;
  error = store_list_settings(s, run_id, &facts, &count);
  for (size_t i = 0; i < count && !error; i++) {
    const setting *row = settings_find(facts[i].name);
    if (row && facts[i].value.kind != STORE_JSON) /* one of another version may be none of ours */
      err_free(setting_assign(row, of_run, facts[i].value.text));
  }
  store_free_facts(facts, count);
  if (error) settings_free(of_run);
  return error;
}

static bool is_same(const setting *row, const settings *a, const settings *b) {
  strbuf one = {0}, other = {0};
  setting_format(row, a, &one);
  setting_format(row, b, &other);
  bool is = strcmp(strbuf_string(&one), strbuf_string(&other)) == 0;
  strbuf_free(&one);
  strbuf_free(&other);
  return is;
}

/* "recipe: 1, text.special_tokens: both": what a file has to say, that omits what had another value
 * in the run's time, to ask for the run's cell. */
static err write_settings(const settings *of_run, strbuf *out) {
  settings now, then;
  size_t count, named = 0;
  const setting *table = settings_table(&count);
  err error = settings_init(&now);
  if (error) return error;
  error = settings_init_recorded(&then);
  for (size_t i = 0; i < count && !error; i++) {
    const setting *row = &table[i];
    if (is_same(row, &now, &then) || is_same(row, &now, of_run)) continue;
    if (!row->is_identity || setting_is_idle(row, of_run)) continue;
    strbuf_format(out, "%s%s: ", named++ ? ", " : "", row->key);
    setting_format(row, of_run, out);
  }
  if (!error) settings_free(&then);
  settings_free(&now);
  return error;
}

/* Records from before recipes were numbered name every setting but this. One without any settings
 * says nothing, and is taken for one of today. */
err cli_find_recipe(store *s, int64_t run_id, int64_t *recipe) {
  settings then;
  char *named = NULL, *other = NULL;
  *recipe = SETTINGS_RECIPE;
  err error = store_find_setting(s, run_id, "recipe", &named);
  if (!error && !named) error = store_find_setting(s, run_id, "batch_size", &other);
  if (named) *recipe = strtoll(named, NULL, 10);
  if (!error && other && !(error = settings_init_recorded(&then))) {
    *recipe = then.recipe;
    settings_free(&then);
  }
  free(named);
  free(other);
  return error;
}

/* The runs of one other recipe, that of the newest one. */
static err count_runs(store *s, const spec_experiment *e, int64_t *recipe, int64_t *run_id,
                      size_t *found) {
  store_run_line *runs = NULL;
  size_t count = 0;
  err error = store_list_runs(s, &(store_run_filter){.experiment = e->name}, &runs, &count);
  *recipe = SETTINGS_RECIPE;
  *found = 0;
  for (size_t i = count; i-- > 0 && !error;) {
    int64_t own;
    if (runs[i].is_archived || strcmp(runs[i].status, "finished") != 0) continue;
    if (spec_find_cell(e, runs[i].cell_id)) continue;
    error = cli_find_recipe(s, runs[i].run_id, &own);
    if (error || own == SETTINGS_RECIPE || (*found && own != *recipe)) continue;
    *recipe = own;
    *run_id = runs[i].run_id;
    ++*found;
  }
  store_free_run_lines(runs, count);
  return error;
}

err cli_describe_recipes(store *s, const spec_experiment *e, size_t *count, char **said) {
  int64_t recipe, run_id = 0;
  settings of_run;
  strbuf text = {0}, wanted = {0};
  *said = NULL;
  err error = count_runs(s, e, &recipe, &run_id, count);
  if (error || !*count) return error;
  error = read_settings(s, run_id, &of_run);
  if (error) return error;
  error = write_settings(&of_run, &wanted);
  settings_free(&of_run);
  bool is_one = *count == 1;
  strbuf_format(&text,
                "%zu finished run%s of %s %s of recipe %lld; this version trains with recipe %d, "
                "whose cells are others (docs/decisions.md). 'flipbench report' of a copy of the "
                "file with the settings of that time shows %s: {%s}",
                *count, is_one ? "" : "s", e->name, is_one ? "is" : "are", (long long)recipe,
                SETTINGS_RECIPE, is_one ? "it" : "them", strbuf_string(&wanted));
  strbuf_free(&wanted);
  if (!error && !(*said = strbuf_take(&text))) error = mem_error(0, "a message");
  strbuf_free(&text);
  return error;
}

err cli_refuse_other_recipe(store *s, int64_t run_id) {
  int64_t recipe;
  err error = cli_find_recipe(s, run_id, &recipe);
  if (error || recipe == SETTINGS_RECIPE) return error;
  return err_new(ERR_INPUT,
                 "run %lld is of recipe %lld, and this version trains with recipe %d "
                 "(docs/decisions.md): only the version that made it can train it again",
                 (long long)run_id, (long long)recipe, SETTINGS_RECIPE);
}

err cli_refuse_other_recipes(store *s, const spec_experiment *e, const char *commit) {
  int64_t recipe, run_id;
  size_t found;
  err error = count_runs(s, e, &recipe, &run_id, &found);
  if (error || !found) return error;
  return err_new(ERR_INPUT,
                 "the recorded runs of %s are of recipe %lld, and this version trains with recipe "
                 "%d (docs/decisions.md): reproduce it with the version that made it, of commit "
                 "%.10s",
                 e->name, (long long)recipe, SETTINGS_RECIPE, commit);
}

err cli_tell_recipes(store *s, const spec_experiment *e) {
  size_t count;
  char *said;
  err error = cli_describe_recipes(s, e, &count, &said);
  if (said) log_warning("%s", said);
  free(said);
  return error;
}
