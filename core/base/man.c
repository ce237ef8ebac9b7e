/* Man pages (roff with the man macros) from the tables used for --help. */
#include <string.h>

#include "base/completion.h"
#include "base/version.h"

/* Text as roff: escapes backslashes, a dot or quote at the start of a line, and minus signs. */
static void put_text(const char *text, FILE *out) {
  bool at_start = true;
  for (const char *at = text; *at; at++) {
    if (at_start && (*at == '.' || *at == '\'')) fputs("\\&", out);
    if (*at == '\\')
      fputs("\\e", out);
    else if (*at == '-')
      fputs("\\-", out);
    else
      fputc(*at, out);
    at_start = *at == '\n';
  }
}

static void put_dashed(const char *name, FILE *out) {
  for (; *name; name++) fputc(*name == ' ' ? '-' : *name, out);
}

static void put_heading(const char *name, const char *summary, FILE *out) {
  fputs(".TH \"", out);
  for (const char *at = name; *at; at++)
    fputc(*at == ' ' ? '-' : *at >= 'a' && *at <= 'z' ? *at - 32 : *at, out);
  fprintf(out, "\" 1 \"\" \"flipbench %s\" \"User Commands\"\n.SH NAME\n", version_string);
  put_dashed(name, out);
  fputs(" \\- ", out);
  put_text(summary, out);
  fputs("\n.SH SYNOPSIS\n.B ", out);
  put_text(name, out);
  fputc('\n', out);
}

static void put_option(const option *o, FILE *out) {
  fputs(".TP\n", out);
  if (o->letter) fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
  fputs("\\fB\\-\\-", out);
  put_text(o->name, out);
  fputs("\\fR", out);
  if (o->placeholder) {
    fputs(" \\fI", out);
    put_text(o->placeholder, out);
    fputs("\\fR", out);
  }
  fputc('\n', out);
  put_text(o->help, out);
  fputs(o->is_required ? " (needed)\n" : "\n", out);
}

/* Line by line as in --help: the details are formatted by hand. */
static void put_details(const char *details, FILE *out) {
  const char *examples = strstr(details, "example");
  bool has_heading = examples && (examples == details || examples[-1] == '\n');
  fputs(".SH DESCRIPTION\n.nf\n", out);
  if (!has_heading) {
    put_text(details, out);
    fputs("\n.fi\n", out);
    return;
  }
  char text[4096];
  snprintf(text, sizeof text, "%.*s", (int)(examples - details), details);
  put_text(text, out);
  fputs(".fi\n.SH EXAMPLES\n.nf\n", out);
  put_text(examples + strcspn(examples, "\n") + 1, out);
  fputs("\n.fi\n", out);
}

void man_of_command(const command *c, FILE *out) {
  put_heading(c->name, c->summary, out);
  put_text(c->usage, out);
  fputc('\n', out);
  if (c->details) put_details(c->details, out);
  if (c->options->name) fputs(".SH OPTIONS\n", out);
  for (const option *o = c->options; o->name; o++) put_option(o, out);
  fputs(".SH SEE ALSO\n.BR flip (1),\n.BR flipbench (1)\n", out);
}

void man_of_table(const char *program, const char *summary, const subcommand *table, FILE *out) {
  put_heading(program, summary, out);
  fputs("COMMAND [OPTIONS]\n.SH COMMANDS\n", out);
  for (const subcommand *s = table; s->name; s++) {
    fputs(".TP\n.BR ", out);
    put_dashed(program, out);
    fprintf(out, "\\-%s (1)\n", s->name);
    put_text(s->summary, out);
    fputc('\n', out);
  }
  fputs(".SH SEE ALSO\n.BR flip (1),\n.BR flipbench (1)\n", out);
}
