/* Shell completion and man pages from the same tables as --help. Internal to options.c, which
 * hands over when a program is called with one of the hidden first words below.
 *
 *   flip --complete WORDS… CURRENT   candidates for the word that is being typed, one a line:
 *                                    "value TAB description", or a directive: ":files", ":dirs",
 *                                    ":yaml", ":experiments", ":settings"
 *   flip COMMAND --man               the man page of a command (roff)
 *
 * `flip completion bash|zsh|fish` prints the script that calls the first; `flip man COMMAND` is the
 * second by a public name. */
#ifndef FLIP_BASE_COMPLETION_H
#define FLIP_BASE_COMPLETION_H

#include "base/options.h"

#define COMPLETE_WORD "--complete"
#define MAN_WORD "--man"

/* `words`: what follows the command on the line, the last one being typed (may be ""). */
void completion_of_command(const command *c, int count, char **words, FILE *out);
void completion_of_table(const subcommand *table, const char *current, FILE *out);

void man_of_command(const command *c, FILE *out);
void man_of_table(const char *program, const char *summary, const subcommand *table, FILE *out);

/* The subcommand `completion` of a program; an exit status. */
int completion_script(const char *program, int argc, char **argv);

#endif
