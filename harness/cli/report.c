#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/shipped.h"
#include "cli/cli.h"
#include "report/claims.h"
#include "report/paper.h"
#include "report/write.h"

static const char details[] =
    "text      for terminals, the best value of a column in bold; followed by the file's claims\n"
    "markdown  for READMEs and issues, with the claims\n"
    "csv       plain numbers, one column per part of a value; the claims with --claims\n"
    "latex     for \\usepackage{booktabs}, with a table of the claims\n"
    "json      for other programs, with the claims\n"
    "html      one self-contained file with the figures and the provenance of every run:\n"
    "          RESULTS/NAME/report.html, or --out; and the index of all experiments,\n"
    "          RESULTS/index.html\n"
    "\n"
    "--paper judges the claims of all files in experiments/paper, in one profile (mini, gpu or\n"
    "paper), from whatever has been run: as text, markdown, json or html (RESULTS/paper.html). "
    "What\n"
    "has not been run is listed as such. --from reads what --format json wrote before.\n"
    "\n"
    "examples:\n"
    "  flipbench report quickstart\n"
    "  flipbench report table1a --claims --format csv\n"
    "  flipbench report --paper --profile mini --format markdown --out docs/findings.md\n"
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
               {"json", NULL},
               {"html", NULL}};
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

typedef struct {
  cli_place place;
  const char *format, *out, *profile, *from;
  bool is_paper, only_claims;
} report_words;

static err list_columns(void) {
  strbuf out = {0};
  size_t count;
  const column *table = columns_table(&count);
  for (size_t i = 0; i < count; i++)
    strbuf_format(&out, "%-34s %-14s %s\n", table[i].name, table[i].unit, table[i].help);
  strbuf_append(
      &out,
      "Every setting is a column too (flip train --list-settings).\n"
      "Of an accuracy there are also tuned_NAME, after the row's unmasked tuning; final_NAME, "
      "the same where\nthe row is tuned, else as trained; and NAME@SET, on that evaluation set: "
      "final_retrieval_i2t_r1@coco.\n");
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

/* Only the claims, or the table with them; a CSV file contains one table, so it is one or the
 * other. */
static err write_claims(const char *format, const spec_experiment *e, store *s, strbuf *out) {
  if (strcmp(format, "csv") == 0) return claims_write_csv(e, s, out);
  if (strcmp(format, "latex") == 0) return claims_write_latex(e, s, out);
  if (strcmp(format, "json") != 0) return claims_write(e, s, strcmp(format, "markdown") == 0, out);
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  err error = claims_write_json(e, s, &w);
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
  return error;
}

static err write_json(const report_table *table, const spec_experiment *e, store *s, strbuf *out) {
  json_writer w = jsonw_start(out);
  jsonw_object(&w, NULL);
  report_write_json_members(table, &w);
  err error = claims_write_json(e, s, &w);
  jsonw_end(&w);
  strbuf_append_char(out, '\n');
  return error;
}

static err write_out(const char *path, const strbuf *out) {
  return path && !out->is_broken ? fs_write_atomic(path, out->data, out->length) : cli_print(out);
}

/* The table and the claims in a format; all that they read is of one moment. */
static err write_parts(const report_words *words, size_t format, const spec_experiment *e, store *s,
                       strbuf *out) {
  report_table *table = NULL;
  const char *name = formats[format].name;
  bool has_claims = strcmp(name, "json") != 0 && strcmp(name, "csv") != 0;
  if (words->only_claims) return write_claims(name, e, s, out);
  err error = report_build(e, s, &table);
  if (error) return error;
  if (strcmp(name, "json") == 0) {
    error = write_json(table, e, s, out);
  } else if (formats[format].write) {
    formats[format].write(table, out);
  } else {
    report_style style = {!words->out && progress_has_colour(STDOUT_FILENO), 0};
    if (!words->out && isatty(STDOUT_FILENO)) style.columns = progress_columns();
    report_write_text(table, &style, out);
  }
  if (!error && has_claims) error = write_claims(name, e, s, out);
  report_free(table);
  return error;
}

static err write_table(const report_words *words, size_t format, const spec_experiment *e,
                       store *s) {
  strbuf out = {0};
  err error = NULL;
  TRY(cli_catch_up(words->place.results, e, s));
  if (words->only_claims && !e->claim_count)
    FAIL(ERR_INPUT, "%s states no claims; docs/experiments.md says how one is stated", e->path);
  TRY(store_begin_reading(s));
  TRY(store_end(s, write_parts(words, format, e, s, &out)));
  TRY(write_out(words->out, &out));
cleanup:
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

/* ---- the paper ---- */

static err collect_paper(const report_words *words, paper_report **report) {
  store *s = NULL;
  if (words->from) return paper_read_json(words->from, report);
  char *folder = shipped_or_given("experiments/paper");
  if (!folder) return mem_error(0, "a path");
  bool is_expected = words->place.db || fs_exists(words->place.path);
  err error = is_expected ? cli_read_place(&words->place, &s) : store_open_empty(&s);
  if (!error && is_expected) error = cli_catch_up_all(words->place.results, s);
  if (!error) error = paper_collect(s, folder, words->profile ? words->profile : "mini", report);
  store_close(s);
  free(folder);
  return error;
}

static err write_paper(const report_words *words) {
  static void (*const writers[FORMAT_COUNT])(const paper_report *, strbuf *) = {
      paper_write_text, paper_write_markdown, NULL, NULL, paper_write_json, paper_write_html};
  paper_report *report = NULL;
  strbuf out = {0}, page = {0};
  size_t format;
  err error = NULL;
  TRY(find_format(words->format, &format));
  if (!writers[format])
    FAIL(ERR_INPUT, "--paper has no %s: text, markdown, json or html", words->format);
  if (words->only_claims) FAIL(ERR_INPUT, "--paper prints only claims: remove --claims");
  if (words->from && words->profile)
    FAIL(ERR_INPUT, "--from uses the profile it was written with: remove --profile");
  TRY(collect_paper(words, &report));
  writers[format](report, &out);
  const char *path = words->out;
  if (!path && strcmp(words->format, "html") == 0) {
    strbuf_format(&page, "%s/paper.html", words->place.results);
    path = strbuf_string(&page);
    TRY(fs_make_folders(words->place.results));
  }
  TRY(write_out(path, &out));
  if (page.length) {
    strbuf_append_char(&page, '\n');
    TRY(cli_print(&page));
  }
cleanup:
  paper_free(report);
  strbuf_free(&out);
  strbuf_free(&page);
  return error;
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
      {"claims", 0, OPTION_FLAG, &words.only_claims, NULL, "print only the file's claims", false},
      {"paper", 0, OPTION_FLAG, &words.is_paper, NULL,
       "the claims of all files in experiments/paper [profile mini]", false},
      {"from", 0, OPTION_STRING, &words.from, "FILE",
       "with --paper: read the output of --format json instead of the database", false},
      {"list", 0, OPTION_FLAG, &is_list, NULL, "list the available columns", false},
      CLI_PLACE_OPTIONS(words.place),
      {0}};
  command c = {"flipbench report", "print the comparison table of an experiment",
               "EXPERIMENT.yaml|NAME|--paper [OPTIONS]", options, details};
  option_list rest = {0};
  spec_experiment *e = NULL;
  store *s = NULL;
  err error = NULL;
  TRY(options_parse(&c, argc, argv, &rest, &is_help_wanted));
  if (is_help_wanted) goto cleanup;
  if (is_list) {
    error = options_refuse_words(&rest, false);
    if (!error) error = list_columns();
    goto cleanup;
  }
  if (words.from && !words.is_paper) FAIL(ERR_INPUT, "--from requires --paper");
  if (words.is_paper) {
    if (rest.count) FAIL(ERR_INPUT, "--paper takes no experiment: '%s'", rest.items[0]);
    TRY(cli_find_place(&words.place));
    TRY(write_paper(&words));
    goto cleanup;
  }
  TRY(cli_one_word(&rest, "EXPERIMENT", &given));
  TRY(find_format(words.format, &format));
  if (words.only_claims && strcmp(words.format, "html") == 0)
    FAIL(ERR_INPUT, "--claims has no html; the page of --format html alone has the claims too");
  TRY(cli_find_place(&words.place));
  TRY(cli_read_place(&words.place, &s));
  spec_options spec = {.profile = words.profile};
  TRY(cli_load_experiment(s, words.place.results, given, &spec, &e));
  TRY(cli_tell_recipes(s, e));
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
