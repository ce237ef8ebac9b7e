#include "base/completion.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"

static bool begins_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void offer(const char *value, const char *help, const char *current, FILE *out) {
  if (begins_with(value, current)) fprintf(out, "%s\t%s\n", value, help);
}

/* In "text|markdown|csv" choices are lower-case; placeholders are not. */
static bool are_choices(const char *placeholder) {
  if (!strchr(placeholder, '|')) return false;
  for (const char *at = placeholder; *at; at++)
    if (isupper((unsigned char)*at)) return false;
  return true;
}

static void offer_choices(const char *choices, const char *current, FILE *out) {
  while (*choices && *choices != ' ') {
    char name[64];
    size_t length = strcspn(choices, "| ");
    snprintf(name, sizeof name, "%.*s", (int)length, choices);
    offer(name, "", current, out);
    choices += length + (choices[length] == '|');
  }
}

/* The kind of completion for a placeholder, by its name. */
static void offer_values(const char *placeholder, const char *current, FILE *out) {
  static const struct {
    const char *part, *directive;
  } kinds[] = {{".yaml", ":yaml"},       {"EXPERIMENT", ":experiments"},
               {"DIR", ":dirs"},         {"KEY=VALUE", ":settings"},
               {"FILE", ":files"},       {"SHARD", ":files"},
               {"CHECKPOINT", ":files"}, {"MODEL", ":files"},
               {"PATH", ":files"}};
  if (are_choices(placeholder)) {
    offer_choices(placeholder, current, out);
    return;
  }
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strstr(placeholder, kinds[i].part)) {
      fprintf(out, "%s\n", kinds[i].directive);
      return;
    }
}

/* The option that `word` names, if its value is a separate word. */
static const option *waits_for_value(const command *c, const char *word) {
  for (const option *o = c->options; o->name; o++) {
    bool is_long = begins_with(word, "--") && strcmp(word + 2, o->name) == 0;
    bool is_short = word[0] == '-' && word[1] == o->letter && o->letter && !word[2];
    if ((is_long || is_short) && o->type != OPTION_FLAG) return o;
  }
  return NULL;
}

static void offer_options(const command *c, const char *current, FILE *out) {
  for (const option *o = c->options; o->name; o++) {
    char name[64];
    snprintf(name, sizeof name, "--%s", o->name);
    offer(name, o->help, current, out);
    if (o->type != OPTION_FLAG || !begins_with(current, "--no")) continue;
    snprintf(name, sizeof name, "--no-%s", o->name);
    offer(name, o->help, current, out);
  }
  offer("--help", "explain this command", current, out);
}

void completion_of_command(const command *c, int count, char **words, FILE *out) {
  const char *current = count > 0 ? words[count - 1] : "";
  const option *o = count > 1 ? waits_for_value(c, words[count - 2]) : NULL;
  const char *equals = begins_with(current, "--") ? strchr(current, '=') : NULL;
  if (o) {
    offer_values(o->placeholder, current, out);
  } else if (equals) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(equals - current), current);
    o = waits_for_value(c, name);
    if (o) offer_values(o->placeholder, equals + 1, out);
  } else if (*current == '-') {
    offer_options(c, current, out);
  } else {
    char first[64]; /* of the usage: what precedes the options, perhaps in brackets */
    const char *usage = c->usage + (*c->usage == '[');
    snprintf(first, sizeof first, "%.*s", (int)strcspn(usage, " ]"), usage);
    offer_values(*first == '-' || strcmp(first, "OPTIONS") == 0 ? "" : first, current, out);
  }
}

void completion_of_table(const subcommand *table, const char *current, FILE *out) {
  for (const subcommand *s = table; s->name; s++) offer(s->name, s->summary, current, out);
}

/* ---- the scripts: they contain the program's name (^) but none of its options ---- */

static const char bash_script[] =
    "# bash completion for ^; put it into ~/.local/share/bash-completion/completions/^\n"
    "_^() {\n"
    "  local program=${COMP_WORDS[0]} rest=\"${COMP_LINE:0:COMP_POINT}\" value i words=()\n"
    "  local current part\n"
    "  for ((i = 0; i <= COMP_CWORD; i++)); do # bash splits at '=' and ':', too: join these\n"
    "    part=${COMP_WORDS[i]}\n"
    "    if ((i == 0)) || [[ $rest == [[:space:]]* || -z $rest ]]; then words+=(''); fi\n"
    "    rest=${rest#\"${rest%%[![:space:]]*}\"}\n"
    "    ((i == COMP_CWORD)) && part=$rest\n"
    "    words[-1]+=$part\n"
    "    rest=${rest#\"$part\"}\n"
    "  done\n"
    "  current=$part\n"
    "  [[ $current == '=' ]] && current=''\n"
    "  current=${current#[\\\"\\']} current=${current//\\\\/} # as typed, without its quoting\n"
    "  COMPREPLY=()\n"
    "  _^_add() { mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen \"$@\" -- \"$current\"); }\n"
    "  while IFS=$'\\t' read -r value _; do\n"
    "    case $value in\n"
    "      :files) _^_add -f; compopt -o filenames ;;\n"
    "      :dirs) _^_add -d; compopt -o filenames ;;\n"
    "      :yaml) _^_add -f -X '!*.yaml'; _^_add -d; compopt -o filenames ;;\n"
    "      :experiments) _^_add -W \"$(\"$program\" status 2>/dev/null |\n"
    "        while read -r name _; do echo \"$name\"; done)\" ;;\n"
    "      :settings) _^_add -W \"$(\"${program%bench}\" train --list-settings 2>/dev/null |\n"
    "        while read -r name _; do echo \"$name=\"; done)\"; compopt -o nospace ;;\n"
    "      *) COMPREPLY+=(\"$value\") ;;\n"
    "    esac\n"
    "  done < <(\"$program\" --complete \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _^ ^\n";

static const char zsh_script[] =
    "#compdef ^\n"
    "# zsh completion for ^; put it as _^ into a folder of $fpath\n"
    "_^() {\n"
    "  local program=${words[1]} value help\n"
    "  local -a found\n"
    "  while IFS=$'\\t' read -r value help; do\n"
    "    case $value in\n"
    "      :files) _files ;;\n"
    "      :dirs) _files -/ ;;\n"
    "      :yaml) _files -g '*.yaml' ;;\n"
    "      :experiments) compadd -- ${(f)\"$($program status 2>/dev/null | while read -r name "
    "rest; "
    "do\n"
    "        echo $name; done)\"} ;;\n"
    "      :settings) compadd -S '' -- ${(f)\"$(${program%bench} train --list-settings 2>/dev/null "
    "|\n"
    "        while read -r name rest; do echo $name=; done)\"} ;;\n"
    "      *) found+=(\"${value//:/\\\\:}${help:+:$help}\") ;;\n"
    "    esac\n"
    "  done < <($program --complete \"${(@)words[2,$CURRENT]}\" 2>/dev/null)\n"
    "  (( $#found )) && _describe -t values ^ found\n"
    "}\n"
    "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _^ \"$@\"; else compdef _^ ^; fi\n";

static const char fish_script[] =
    "# fish completion for ^; put it into ~/.config/fish/completions/^.fish\n"
    "function __^_complete\n"
    "  set -l words (commandline -opc) (commandline -ct)\n"
    "  set -l program $words[1]\n"
    "  set -l current $words[-1]\n"
    "  for line in ($program --complete $words[2..-1] 2>/dev/null)\n"
    "    switch $line\n"
    "      case :files :yaml\n"
    "        __fish_complete_path $current\n"
    "      case :dirs\n"
    "        __fish_complete_directories $current\n"
    "      case :experiments\n"
    "        $program status 2>/dev/null | string replace -r ' .*' ''\n"
    "      case :settings\n"
    "        set -l trainer (string replace -r 'bench$' '' $program)\n"
    "        $trainer train --list-settings 2>/dev/null | string replace -r ' .*' '='\n"
    "      case '*'\n"
    "        echo $line\n"
    "    end\n"
    "  end\n"
    "end\n"
    "complete -c ^ -f -a '(__^_complete)'\n";

static const struct {
  const char *shell, *script;
} scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

static err print_script(const char *program, const option_list *words) {
  if (words->count != 1) return err_new(ERR_INPUT, "expected bash, zsh or fish");
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    if (strcmp(scripts[i].shell, words->items[0]) != 0) continue;
    for (const char *at = scripts[i].script; *at; at++)
      if (*at == '^')
        fputs(program, stdout);
      else
        fputc(*at, stdout);
    return NULL;
  }
  return err_new(ERR_INPUT, "unknown shell '%s': expected bash, zsh or fish", words->items[0]);
}

int completion_script(const char *program, int argc, char **argv) {
  char name[64], details[512];
  option options[] = {{0}};
  snprintf(name, sizeof name, "%s completion", program);
  snprintf(
      details, sizeof details,
      "The script calls %s at TAB, so it completes the commands, options, files, settings and\n"
      "experiments of this build.\n\n"
      "examples:\n"
      "  source <(%s completion bash)\n"
      "  %s completion zsh > ~/.zfunc/_%s\n"
      "  %s completion fish > ~/.config/fish/completions/%s.fish",
      program, program, program, program, program, program);
  command c = {name, "print the completion script for a shell", "bash|zsh|fish", options, details};
  option_list words = {0};
  bool is_help_wanted;
  err error = options_parse(&c, argc, argv, &words, &is_help_wanted);
  if (!error && !is_help_wanted) error = print_script(program, &words);
  options_free_list(&words);
  return options_exit_status(error);
}
