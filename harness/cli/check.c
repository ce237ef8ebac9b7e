#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "experiment/format.h"

static const char details[] =
    "Reads the file and all its bases, expands the matrix and checks every cell; runs nothing.\n"
    "All errors are reported at once, each with line, column and the nearest valid name.\n"
    "Without --profile, every profile of the file is checked as well.\n"
    "\n"
    "--schema prints the JSON Schema of the format (experiments/experiment.schema.json); an "
    "editor\n"
    "with a YAML language server uses it to complete and check experiment files.\n"
    "\n"
    "examples:\n"
    "  flipbench check experiments/paper/table1a.yaml --profile paper\n"
    "  flipbench check --schema > experiments/experiment.schema.json";

/* The cells, then a line with their number, which names the profile. */
static void list_cells(const spec_experiment *e, const char *profile, bool is_verbose,
                       strbuf *out) {
  size_t tuned = 0;
  for (size_t i = 0; i < e->cell_count; i++) {
    tuned += e->cells[i].tuning != NULL;
    if (!is_verbose) continue;
    strbuf_format(out, "%.8s  %s", e->cells[i].id, e->cells[i].label);
    cli_name_ranks(&e->cells[i], out);
    strbuf_append_char(out, '\n');
  }
  strbuf_format(out, "%s%s%s: ok: %zu cell%s", profile, *profile ? ": " : "", e->path,
                e->cell_count, e->cell_count == 1 ? "" : "s");
  if (tuned) strbuf_format(out, ", %zu of them tuned from another cell", tuned);
  strbuf_append_char(out, '\n');
}

/* One definition a line, so that a change of the shipped copy can be read as a diff. */
static err print_schema(strbuf *out) {
  strbuf compact = {0};
  spec_write_schema(&compact);
  json_t *schema = json_loads(strbuf_string(&compact), 0, NULL);
  json_t *definitions = json_object_get(schema, "$defs"), *value;
  const char *key;
  strbuf_free(&compact);
  if (!schema) return mem_error(0, "the schema");
  strbuf_append(out, "{\n");
  json_object_foreach(schema, key, value) if (value != definitions)
      strbuf_format(out, " \"%s\": \"%s\",\n", key, json_string_value(value));
  strbuf_append(out, " \"$defs\": {");
  const char *comma = "\n";
  json_object_foreach(definitions, key, value) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    strbuf_format(out, "%s  \"%s\": %s", comma, key, text ? text : "null");
    comma = ",\n";
    free(text);
  }
  strbuf_append(out, "\n }\n}\n");
  json_decref(schema);
  return out->is_broken ? mem_error(0, "the schema") : NULL;
}

/* Checks the file as it is, or with the requested profile; then every other profile. */
static err check_all(const char *given, const spec_options *options, bool is_verbose, strbuf *out) {
  spec_experiment *e = NULL;
  err error = cli_load_experiment(NULL, NULL, given, options, &e);
  if (!error) cli_tell_notices(e);
  if (!error) list_cells(e, "", is_verbose, out);
  for (size_t i = 0; !error && !options->profile && i < e->profiles.count; i++) {
    spec_experiment *scaled = NULL;
    spec_options chosen = *options;
    chosen.profile = e->profiles.items[i];
    error = err_context(cli_load_experiment(NULL, NULL, given, &chosen, &scaled), "profile %s",
                        chosen.profile);
    if (!error) list_cells(scaled, chosen.profile, is_verbose, out);
    spec_free(scaled);
  }
  spec_free(e);
  return error;
}

int cli_check(int argc, char **argv) {
  const char *profile = NULL, *given;
  bool is_verbose = false, wants_schema = false, is_help_wanted;
  option_list set = {0}, set_cell = {0};
  option options[] = {
      {"profile", 'p', OPTION_STRING, &profile, "NAME", "a profile of the file", false},
      {"cells", 'c', OPTION_FLAG, &is_verbose, NULL, "list the cells", false},
      CLI_CELL_OPTIONS(set, set_cell),
      {"schema", 0, OPTION_FLAG, &wants_schema, NULL, "print the JSON Schema of the format", false},
      {0}};
  command c = {"flipbench check", "check an experiment file", "EXPERIMENT.yaml [OPTIONS]", options,
               details};
  option_list rest = {0};
  strbuf out = {0};
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  if (wants_schema) {
    TRY(options_refuse_words(&rest, false));
    TRY(print_schema(&out));
  } else {
    TRY(cli_one_word(&rest, "EXPERIMENT.yaml", &given));
    spec_options spec = {.profile = profile,
                         .set = set.items,
                         .set_count = set.count,
                         .set_cell = set_cell.items,
                         .set_cell_count = set_cell.count,
                         .trains = true};
    TRY(check_all(given, &spec, is_verbose, &out));
  }
  TRY(cli_print(&out));
cleanup:
  strbuf_free(&out);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
