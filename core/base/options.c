#include "base/options.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/completion.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/mem_library.h"
#include "base/text.h"
#include "base/version.h"

enum { MOST_OPTIONS = 64 };

static err add_to_list(option_list *list, const char *item) {
  const char **grown = mem_resize(list->items, list->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "the command line");
  list->items = grown;
  list->items[list->count++] = item;
  return NULL;
}

/* One of the words of "a|b|c"; NULL when it is none of them. */
static const char *find_choice(const char *choices, const char *word, size_t length) {
  for (const char *at = choices; *at; at += strspn(at, "|")) {
    size_t own = strcspn(at, "|");
    if (own == length && strncmp(at, word, length) == 0) return at;
    at += own;
  }
  return NULL;
}

static err set_choice(const option *o, const char *word) {
  if (!find_choice(o->placeholder, word, strlen(word)))
    return err_new(ERR_INPUT, "--%s: '%s' is not one of %s", o->name, word, o->placeholder);
  *(const char **)o->value = word;
  return NULL;
}

/* The word after an option with an optional value: its value if it is one of the choices. */
static err take_choice(const option *o, const char *next, int *at) {
  if (next && find_choice(o->placeholder, next, strlen(next))) {
    ++*at;
    return set_choice(o, next);
  }
  *(const char **)o->value = "";
  return NULL;
}

static err set_value(const option *o, const char *text) {
  switch (o->type) {
  case OPTION_FLAG:
    break; /* handled by the caller: flags take no value */
  case OPTION_STRING:
  case OPTION_AMOUNT:
    *(const char **)o->value = text;
    break;
  case OPTION_LIST:
    return add_to_list(o->value, text);
  case OPTION_CHOICE:
    return set_choice(o, text);
  case OPTION_NUMBER:
    if (!text_parse_real(text, o->value))
      return err_new(ERR_INPUT, "--%s: '%s' is not a number", o->name, text);
    break;
  case OPTION_INTEGER:
    if (!text_parse_whole(text, o->value))
      return err_new(ERR_INPUT, "--%s: '%s' is not a whole number (12, 50k, 2M, 1G)", o->name,
                     text);
    break;
  }
  return NULL;
}

static const option *find_long(const command *c, const char *name, size_t length) {
  for (const option *o = c->options; o->name; o++)
    if (strlen(o->name) == length && strncmp(o->name, name, length) == 0) return o;
  return NULL;
}

static err unknown_option(const command *c, const char *word, const char *name) {
  const char *names[MOST_OPTIONS];
  size_t count = 0;
  for (const option *o = c->options; o->name && count < MOST_OPTIONS; o++) names[count++] = o->name;
  const char *nearest = text_nearest(name, names, count);
  if (nearest)
    return err_new(ERR_INPUT, "unknown option '%s'; did you mean '--%s'? (see '%s --help')", word,
                   nearest, c->name);
  return err_new(ERR_INPUT, "unknown option '%s' (see '%s --help')", word, c->name);
}

static err parse_word(const command *c, int argc, char **argv, int *at, bool seen[]) {
  const char *word = argv[*at], *value = NULL;
  const option *o = NULL;
  if (word[1] == '-') {
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    o = find_long(c, name, length);
    if (!o && strncmp(name, "no-", 3) == 0 && !equals) {
      o = find_long(c, name + 3, length - 3);
      if (o && o->type == OPTION_FLAG) {
        *(bool *)o->value = false;
        return NULL;
      }
      o = NULL;
    }
    if (!o) return unknown_option(c, word, name);
    if (equals) value = equals + 1;
  } else {
    for (const option *p = c->options; p->name; p++)
      if (p->letter == word[1]) o = p;
    if (!o) return unknown_option(c, word, word + 1);
    if (word[2]) value = word + 2;
  }
  seen[o - c->options] = true;
  if (o->type == OPTION_FLAG) {
    if (value) return err_new(ERR_INPUT, "--%s takes no value", o->name);
    *(bool *)o->value = true;
    return NULL;
  }
  if (!value && o->type == OPTION_AMOUNT) {
    bool is_amount = *at + 1 < argc && isdigit((unsigned char)argv[*at + 1][0]);
    return set_value(o, is_amount ? argv[++*at] : "");
  }
  if (!value && o->type == OPTION_CHOICE)
    return take_choice(o, *at + 1 < argc ? argv[*at + 1] : NULL, at);
  if (!value) {
    if (*at + 1 >= argc)
      return err_new(ERR_INPUT, "--%s needs a value: %s", o->name, o->placeholder);
    value = argv[++*at];
  }
  return set_value(o, value);
}

/* The hidden first words that request completion and man pages. */
static bool is_asked_for_page(const command *c, int argc, char **argv) {
  bool wants_words = argc > 1 && strcmp(argv[1], COMPLETE_WORD) == 0;
  bool wants_man = argc == 2 && strcmp(argv[1], MAN_WORD) == 0;
  if (wants_words) completion_of_command(c, argc - 2, argv + 2, stdout);
  if (wants_man) man_of_command(c, stdout);
  return wants_words || wants_man;
}

static bool is_path(const option *o) {
  static const char *const words[] = {"DIR", "FILE", "PATH"};
  for (size_t i = 0; i < sizeof words / sizeof *words && o->placeholder; i++)
    if (strstr(o->placeholder, words[i])) return true;
  return false;
}

static bool has_empty_value(const option *o) {
  if (o->type == OPTION_STRING) return !**(const char **)o->value;
  const option_list *list = o->value;
  for (size_t i = 0; o->type == OPTION_LIST && i < list->count; i++)
    if (!*list->items[i]) return true;
  return false;
}

/* An empty path would be the root of the file system, or the current folder. */
static err check_values(const command *c, const bool seen[]) {
  for (const option *o = c->options; o->name; o++) {
    const bool is_seen = seen[o - c->options];
    if (o->is_required && !is_seen)
      return err_new(ERR_INPUT, "--%s %s is missing (see '%s --help')", o->name, o->placeholder,
                     c->name);
    if (is_seen && (o->is_required || is_path(o)) && has_empty_value(o))
      return err_new(ERR_INPUT, "--%s is empty: give %s (an unset variable?)", o->name,
                     o->placeholder);
  }
  return NULL;
}

static err add_positional(const command *c, option_list *positional, const char *word) {
  if (!*word && !strstr(c->usage, "TEXT"))
    return err_new(ERR_INPUT, "an argument is empty (an unset variable?); usage: %s %s", c->name,
                   c->usage);
  return add_to_list(positional, word);
}

err options_parse(const command *c, int argc, char **argv, option_list *positional,
                  bool *is_help_wanted) {
  bool seen[MOST_OPTIONS] = {false}, is_rest = false;
  *is_help_wanted = is_asked_for_page(c, argc, argv);
  if (*is_help_wanted) return NULL;
  if (argc > 2 && argv[1][0] != '-' && strcmp(argv[argc - 1], MAN_WORD) == 0) /* flip man train x */
    return err_new(ERR_INPUT, "unexpected word '%s' after the command '%s'", argv[1], c->name);
  for (int i = 1; i < argc; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      options_print_help(c, stdout);
      *is_help_wanted = true;
      return NULL;
    } else if (strcmp(argv[i], "--") == 0) {
      break;
    }
  for (int i = 1; i < argc; i++) {
    err error = NULL;
    if (!is_rest && strcmp(argv[i], "--") == 0)
      is_rest = true;
    else if (is_rest)
      error = add_to_list(positional, argv[i]);
    else if (argv[i][0] != '-' || !argv[i][1])
      error = add_positional(c, positional, argv[i]);
    else
      error = parse_word(c, argc, argv, &i, seen);
    if (error) return error;
  }
  return check_values(c, seen);
}

err options_refuse_words(const option_list *words, bool has_set) {
  if (!words->count) return NULL;
  const char *word = words->items[0];
  if (has_set && strchr(word, '=') && *word != '=')
    return err_new(ERR_INPUT, "unexpected word '%s': to change a setting, write -s %s", word, word);
  return err_new(ERR_INPUT, "unexpected word '%s'", word);
}

void options_print_help(const command *c, FILE *out) {
  fprintf(out, "%s - %s\n\nusage: %s %s\n", c->name, c->summary, c->name, c->usage);
  if (c->options->name) fputs("\noptions:\n", out);
  for (const option *o = c->options; o->name; o++) {
    char left[64];
    const char *space = o->placeholder ? " " : "",
               *placeholder = o->placeholder ? o->placeholder : "";
    if (o->letter)
      snprintf(left, sizeof left, "-%c, --%s%s%s", o->letter, o->name, space, placeholder);
    else
      snprintf(left, sizeof left, "    --%s%s%s", o->name, space, placeholder);
    fprintf(out, strlen(left) > 28 ? "  %s\n  %-28s  %s\n" : "  %-28s%s  %s\n", left, "", o->help);
  }
  if (c->details) fprintf(out, "\n%s\n", c->details);
}

void options_free_list(option_list *list) {
  free(list->items);
  *list = (option_list){0};
}

void options_free(option *options) {
  for (option *o = options; o->name; o++)
    if (o->type == OPTION_LIST) options_free_list(o->value);
}

/* Every program has these two in addition to its own commands; a command with subcommands does
 * not. */
static const subcommand common_commands[] = {
    {"completion", "print the completion script for a shell", NULL},
    {"man", "print the man page of a command", NULL},
    {0}};

static bool is_program(const char *name) {
  return !strchr(name, ' ');
}

static void print_overview(const char *program, const char *summary, const subcommand *table,
                           FILE *out) {
  fprintf(out, "%s - %s\n\nusage: %s COMMAND [OPTIONS]\n\ncommands:\n", program, summary, program);
  for (const subcommand *s = table; s->name; s++) fprintf(out, "  %-12s %s\n", s->name, s->summary);
  for (const subcommand *s = common_commands; is_program(program) && s->name; s++)
    fprintf(out, "  %-12s %s\n", s->name, s->summary);
  if (is_program(program))
    fprintf(out, "\n'%s --version' prints the version, commit, compiler and flags.", program);
  fprintf(out, "\nSee '%s COMMAND --help' for details.\n", program);
}

static const subcommand *find_command(const subcommand *table, const char *name) {
  for (const subcommand *s = table; s->name; s++)
    if (strcmp(s->name, name) == 0) return s;
  return NULL;
}

/* `flip man data emoji` is `flip data emoji --man`. */
static int print_man(const char *program, const char *summary, const subcommand *table, int argc,
                     char **argv) {
  char name[64], details[256], *words[MOST_OPTIONS];
  option options[] = {{0}};
  snprintf(name, sizeof name, "%s man", program);
  snprintf(
      details, sizeof details,
      "Without a command: the page of %s itself. 'ninja man' in the build folder builds all.\n\n"
      "examples:\n  %s man | man -l -\n  %s man %s | man -l -",
      program, program, program, table->name);
  command c = {name, common_commands[1].summary, "[COMMAND…]", options, details};
  option_list rest = {0};
  bool is_help_wanted;
  int status = 0;
  err error = options_parse(&c, argc, argv, &rest, &is_help_wanted);
  if (!error && !is_help_wanted && rest.count + 3 < MOST_OPTIONS) {
    int count = 0;
    words[count++] = (char *)program;
    for (size_t i = 0; i < rest.count; i++) words[count++] = (char *)rest.items[i];
    words[count++] = MAN_WORD;
    words[count] = NULL;
    status = options_dispatch(program, summary, table, count, words);
  }
  options_free_list(&rest);
  return error ? options_exit_status(error) : status;
}

/* The word being typed is a command's name, or belongs to the preceding command. */
static int complete(const char *program, const subcommand *table, int argc, char **argv) {
  const subcommand *chosen = argc > 3 ? find_command(table, argv[2]) : NULL;
  const char *current = argc > 2 ? argv[argc - 1] : "";
  if (chosen) {
    argv[2] = argv[1]; /* the command finds the hidden word first */
    return chosen->run(argc - 1, argv + 1);
  }
  if (argc > 3 && is_program(program) && strcmp(argv[2], "man") == 0) {
    argv[2] = argv[1];
    return complete(program, table, argc - 1, argv + 1);
  }
  if (argc > 3 && is_program(program) && strcmp(argv[2], "completion") == 0) {
    argv[2] = argv[1];
    return completion_script(program, argc - 1, argv + 1);
  }
  if (argc > 3) return 0;
  completion_of_table(table, current, stdout);
  if (is_program(program)) completion_of_table(common_commands, current, stdout);
  return 0;
}

static int unknown_command(const char *program, const subcommand *table, const char *name) {
  const char *names[MOST_OPTIONS];
  size_t count = 0;
  for (const subcommand *s = table; s->name && count < MOST_OPTIONS; s++) names[count++] = s->name;
  const char *nearest = text_nearest(name, names, count);
  if (nearest)
    log_error("unknown command '%s'; did you mean '%s %s'?", name, program, nearest);
  else
    log_error("unknown command '%s' (see '%s --help')", name, program);
  return 2;
}

int options_dispatch(const char *program, const char *summary, const subcommand *table, int argc,
                     char **argv) {
  if (argc < 2) {
    print_overview(program, summary, table, stderr);
    return 2;
  }
  const char *word = argv[1];
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
    print_overview(program, summary, table, stdout);
    return options_exit_status(NULL);
  }
  if (strcmp(word, "--version") == 0) {
    printf("%s %s (%s%s%s, %s, %s)\n", program, version_string, version_commit,
           *version_dirty_digest ? "+" : "", version_dirty_digest, version_compiler, version_flags);
    return options_exit_status(NULL);
  }
  if (strcmp(word, COMPLETE_WORD) == 0) return complete(program, table, argc, argv);
  if (strcmp(word, MAN_WORD) == 0) {
    man_of_table(program, summary, table, stdout);
    return options_exit_status(NULL);
  }
  const subcommand *chosen = find_command(table, word);
  if (chosen) return chosen->run(argc - 1, argv + 1);
  if (is_program(program) && strcmp(word, "completion") == 0)
    return completion_script(program, argc - 1, argv + 1);
  if (is_program(program) && strcmp(word, "man") == 0)
    return print_man(program, summary, table, argc - 1, argv + 1);
  return unknown_command(program, table, word);
}

static int print_failure; /* errno of the first failure to print */

err options_print(strbuf *text) {
  err error = text->is_broken ? mem_error(0, "the output") : NULL;
  if (!error) {
    errno = 0;
    bool is_lost = fputs(strbuf_string(text), stdout) < 0;
    is_lost = fflush(stdout) != 0 || is_lost; /* what is printed outlives a killed process */
    if (is_lost && !print_failure) print_failure = errno; /* check_stdout reports it */
  }
  strbuf_free(text);
  return error;
}

/* Output could not be written. A reader that closed its end (| head) is not an error. */
static err check_stdout(void) {
  struct pollfd end = {.fd = STDOUT_FILENO};
  errno = 0;
  bool is_lost = fflush(stdout) != 0;
  int code = print_failure ? print_failure : errno ? errno : EIO;
  if (!is_lost && !ferror(stdout)) return NULL;
  bool is_closed = poll(&end, 1, 0) > 0 && (end.revents & POLLERR);
  return is_closed ? NULL : err_errno(code, "standard output: cannot write");
}

int options_exit_status(err error) {
  if (!error) error = check_stdout();
  if (!error && (strbuf_any_broken() || mem_library_lacked()))
    error = mem_error(0, "a text; what was printed or written may be incomplete");
  else if (error && (strbuf_any_broken() || mem_library_lacked()) &&
           err_kind_of(error) != ERR_MEMORY)
    error = err_context(error, "out of memory");
  if (!error) return 0;
  err_kind kind = err_kind_of(error);
  log_error("%s", err_message(error));
  err_free(error);
  return kind == ERR_INPUT ? 2 : kind == ERR_INTERRUPTED ? 130 : 1;
}
