/* Command-line options, described once in a table; parsing, errors and --help come from it.
 *
 *   bool as_json = false, is_help = false;
 *   const char *out = NULL;
 *   option_list rest = {0};
 *   option options[] = {
 *     {"out", 'o', OPTION_STRING, &out, "DIR", "where the shards go", true},
 *     {"json", 0, OPTION_FLAG, &as_json, NULL, "print JSON for scripts", false},
 *     {0}};
 *   command c = {"flip data emoji", "one line", "--out DIR [SHARDS…]", options, "longer help"};
 *   err error = options_parse(&c, argc, argv, &rest, &is_help);
 *   if (error || is_help) goto cleanup;
 *
 * `--name value`, `--name=value`, `-x value`, `--` and options after positionals all work;
 * an unknown name is an ERR_INPUT that suggests the nearest. An empty value is refused where the
 * option is required or its placeholder names a path (DIR, FILE, PATH), and so is an empty
 * positional word before `--`, except of commands whose usage has a TEXT. --help sets
 * `is_help_wanted`. */
#ifndef FLIP_BASE_OPTIONS_H
#define FLIP_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "base/text.h"

typedef enum {
  OPTION_FLAG,    /* bool *: set to true by --name, to false by --no-name */
  OPTION_STRING,  /* const char **: points into argv */
  OPTION_INTEGER, /* int64_t *: suffixes k, M, G (powers of 1000) allowed */
  OPTION_NUMBER,  /* double * */
  OPTION_LIST,    /* option_list *: may be given several times */
  OPTION_AMOUNT,  /* const char **: a word that starts with a digit; "" for --name alone */
  OPTION_CHOICE   /* const char **: a word of the placeholder "a|b|c"; "" for --name alone */
} option_type;

typedef struct {
  const char **items;
  size_t count;
} option_list;

typedef struct {
  const char *name; /* long name without dashes; NULL ends the table */
  char letter;      /* 0: none */
  option_type type;
  void *value;
  const char *placeholder; /* "DIR"; NULL for flags */
  const char *help;
  bool is_required;
} option;

typedef struct {
  const char *name;    /* "flip data emoji" */
  const char *summary; /* one line */
  const char *usage;   /* after the name: "--out DIR [SHARDS…]" */
  option *options;
  const char *details; /* shown by --help after the options: examples; may be NULL */
} command;

/* Positional arguments land in `positional` (free items with options_free_list). `argv[0]` is
 * skipped. When --help is among the words, prints the help to stdout and sets *is_help_wanted;
 * the caller then returns success at once. */
err options_parse(const command *c, int argc, char **argv, option_list *positional,
                  bool *is_help_wanted) ERR_MUST_CHECK;
/* For a command without positional arguments. `has_set`: KEY=VALUE is one whose -s was forgotten.
 */
err options_refuse_words(const option_list *words, bool has_set) ERR_MUST_CHECK;
void options_print_help(const command *c, FILE *out);
void options_free_list(option_list *list);
/* Frees the OPTION_LIST values of a table. */
void options_free(option *options);

/* A table of subcommands: dispatches on argv[1], prints the overview for --help, suggests the
 * nearest command for an unknown name. Returns the exit status: the subcommand's, or 2 for wrong
 * usage. */
typedef struct {
  const char *name, *summary;
  int (*run)(int argc, char **argv);
} subcommand;

int options_dispatch(const char *program, const char *summary, const subcommand *table, int argc,
                     char **argv);

/* Prints a text on stdout and frees it; ERR_MEMORY if memory ran out while it was built. */
err options_print(strbuf *text) ERR_MUST_CHECK;

/* Prints "program: message" on stderr, frees the error and returns the exit status for its kind: 2
 * for ERR_INPUT, 130 for ERR_INTERRUPTED, else 1. NULL returns 0, unless stdout could not be
 * written. */
int options_exit_status(err error);

#endif
