#include "timing/identity.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/command.h"
#include "timing/git.h"

static void read_version(const char *said, program_identity *identity) {
  const char *open = strchr(said, '('), *end = open ? strrchr(open, ')') : NULL;
  if (!end) return;
  size_t length = strcspn(open + 1, "+,)");
  const char *rest = open + 1 + length;
  snprintf(identity->commit, sizeof identity->commit, "%.*s", (int)(length < 40 ? length : 40),
           open + 1);
  if (*rest == '+') {
    length = strcspn(rest + 1, ",)");
    snprintf(identity->dirty, sizeof identity->dirty, "%.*s", (int)length, rest + 1);
    rest += 1 + length;
  }
  rest += strspn(rest, ", ");
  if (rest < end)
    snprintf(identity->build, sizeof identity->build, "%.*s", (int)(end - rest), rest);
}

/* "2026-11-29T21:51:32+01:00" and a line's end: a history is in the order of these texts. */
static bool is_date(const char *line) {
  static const char form[] = "dddd-dd-ddTdd:dd:dd";
  size_t i = 0;
  for (; form[i]; i++)
    if (form[i] == 'd' ? !isdigit((unsigned char)line[i]) : line[i] != form[i]) return false;
  size_t zone = strcspn(line + i, "\n");
  return (zone == 1 && line[i] == 'Z') || (zone == 6 && (line[i] == '+' || line[i] == '-'));
}

err identity_of_program(const char *program, const char *repository, program_identity *identity) {
  char *version[] = {(char *)program, "--version", NULL};
  strbuf said = {0}, date = {0};
  *identity = (program_identity){0};
  err error = command_capture(version, &said);
  if (!error) read_version(strbuf_string(&said), identity);
  /* from the commit itself, so the same everywhere; unknown for a commit of another repository */
  char *show[] = {GIT_PRINTING,     "-C", (char *)repository,
                  "show",           "-s", "--format=%cI",
                  identity->commit, "--", NULL};
  if (!error && *identity->commit) {
    err unknown = command_capture_quietly(show, &date);
    if (!unknown && is_date(strbuf_string(&date)))
      snprintf(identity->committed, sizeof identity->committed, "%.*s",
               (int)strcspn(strbuf_string(&date), "\n"), strbuf_string(&date));
    err_free(unknown);
  }
  strbuf_free(&said);
  strbuf_free(&date);
  return error;
}

void identity_of_machine(char *name, size_t size) {
  char processor[256];
  machine_state now = machine_look("");
  machine_processor("", processor, sizeof processor);
  int used = snprintf(name, size, "%.120s, %d CPUs", processor, now.cpus);
  if (now.quota_cpus > 0 && now.quota_cpus < now.cpus && (size_t)used < size)
    snprintf(name + used, size - (size_t)used, " (quota %.3g)", now.quota_cpus);
}
