#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "report/claims.h"
#include "report/write.h"

static const char details[] =
    "text      for terminals, the best value of a column in bold; followed by the file's claims\n"
    "markdown  for READMEs and issues, with the claims\n"
    "csv       plain numbers, one column per part of a value\n"
    "latex     for \\usepackage{booktabs}\n"
    "json      for other programs\n"
    "html      one self-contained file with the figures and the provenance of every run:\n"
    "          RESULTS/NAME/report.html, or --out; and the index of all experiments,\n"
    "          RESULTS/index.html\n"
    "\n"
    "examples:\n"
    "  flipbench report quickstart\n"
    "  flipbench report experiments/mask_ratio.yaml --format latex --out table.tex\n"
    "  flipbench report quickstart --format html\n"
    "  flipbench report --list";

static const struct {
  const char *name;
  void (*write)(const report_table *, strbuf *);
} formats[] = {{"text", NULL},
               {"markdown", report_write_markdown},
               {"csv", report_write_csv},
               {"latex", report_write_latex},
               {"json", report_write_json},
               {"html", NULL}};
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

typedef struct {
  cli_place place;
  const char *format, *out, *profile;
} report_words;

static err list_columns(void) {
  strbuf out = {0};
  size_t count;
  const column *table = columns_table(&count);
  for (size_t i = 0; i < count; i++)
    strbuf_format(&out, "%-34s %-14s %s\n", table[i].name, table[i].unit, table[i].help);
  strbuf_append(&out, "Every setting is a column too (flip train --list-settings).\n");
  err error = cli_print(&out);
  strbuf_free(&out);
  return error;
}

static err write_html(const report_words *words, const spec_experiment *e, store *s) {
  strbuf path = {0}, said = {0};
  if (words->out)
    strbuf_append(&path, words->out);
  else
    strbuf_format(&path, "%s/%s/report.html", words->place.results, e->name);
  err error = cli_write_page(words->place.results, e, s, strbuf_string(&path));
  strbuf_format(&said, "%s\n", strbuf_string(&path));
  if (!error) error = cli_print(&said);
  strbuf_free(&path);
  strbuf_free(&said);
  return error;
}

static err write_table(const report_words *words, size_t format, const spec_experiment *e,
                       store *s) {
  report_table *table = NULL;
  strbuf out = {0};
  err error = report_build(e, s, &table);
  if (!error && formats[format].write) {
    formats[format].write(table, &out);
  } else if (!error) {
    report_style style = {!words->out && progress_has_colour(STDOUT_FILENO), 0};
    if (!words->out && isatty(STDOUT_FILENO)) style.columns = progress_columns();
    report_write_text(table, &style, &out);
  }
  if (!error &&
      (strcmp(formats[format].name, "text") == 0 || strcmp(formats[format].name, "markdown") == 0))
    error = claims_write(e, s, &out);
  if (!error && words->out && !out.is_broken)
    error = fs_write_atomic(words->out, out.data, out.length);
  else if (!error)
    error = cli_print(&out);
  report_free(table);
  strbuf_free(&out);
  return error;
}

static err find_format(const char *name, size_t *index) {
  const char *names[FORMAT_COUNT];
  for (size_t i = 0; i < FORMAT_COUNT; i++) {
    names[i] = formats[i].name;
    *index = i;
    if (strcmp(formats[i].name, name) == 0) return NULL;
  }
  const char *nearest = text_nearest(name, names, FORMAT_COUNT);
  return err_new(ERR_INPUT,
                 "--format: '%s' is not one of text, markdown, csv, latex, json, html%s%s%s", name,
                 nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

int cli_report(int argc, char **argv) {
  report_words words = {.place = {.results = "results"}, .format = "text"};
  bool is_help_wanted, is_list = false;
  const char *given;
  size_t format;
  option options[] = {
      {"format", 'f', OPTION_STRING, &words.format, "FORMAT",
       "text, markdown, csv, latex, json, html [text]", false},
      {"out", 'o', OPTION_STRING, &words.out, "FILE", "write to a file instead of standard output",
       false},
      {"profile", 'p', OPTION_STRING, &words.profile, "NAME", "a profile of the file", false},
      {"list", 0, OPTION_FLAG, &is_list, NULL, "list the available columns", false},
      CLI_PLACE_OPTIONS(words.place),
      {0}};
  command c = {"flipbench report", "print the comparison table of an experiment",
               "EXPERIMENT.yaml|NAME [OPTIONS]", options, details};
  option_list rest = {0};
  spec_experiment *e = NULL;
  store *s = NULL;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  if (is_list) {
    error = list_columns();
    goto cleanup;
  }
  TRY(cli_one_word(&rest, "EXPERIMENT", &given));
  TRY(find_format(words.format, &format));
  TRY(cli_find_place(&words.place));
  TRY(store_open_existing(words.place.path, &s));
  spec_options spec = {.profile = words.profile};
  TRY(cli_load_experiment(s, given, &spec, &e));
  TRY(strcmp(words.format, "html") == 0 ? write_html(&words, e, s)
                                        : write_table(&words, format, e, s));
cleanup:
  store_close(s);
  spec_free(e);
  free(words.place.path);
  options_free_list(&rest);
  options_free(options);
  return options_exit_status(error);
}
