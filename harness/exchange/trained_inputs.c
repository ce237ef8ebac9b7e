#include "exchange/trained_inputs.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "exchange/inputs.h"

/* Which input it is, and its contents; not where its files lie. */
static json_t *record_of(const json_t *here) {
  static const char *const keys[] = {"role", "setting", "names", "order", "fingerprint"};
  json_t *list = json_array(), *input;
  size_t i;
  json_array_foreach(here, i, input) {
    json_t *own = json_object();
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
      json_object_set(own, keys[k], json_object_get(input, keys[k])); /* some have no order */
    json_array_append_new(list, own);
  }
  return list;
}

static err write_record(const char *folder, const char *path, const json_t *here) {
  json_t *record = record_of(here);
  char *text = json_dumps(record, JSON_INDENT(1));
  err error = text ? fs_make_folders(folder) : mem_error(0, path);
  if (!error) error = fs_write_atomic(path, text, strlen(text));
  json_decref(record);
  free(text);
  return error;
}

static void say_fingerprint(const char *fingerprint, strbuf *out) {
  if (*fingerprint)
    strbuf_format(out, "fingerprint %.10s", fingerprint);
  else
    strbuf_append(out, "no fingerprint");
}

/* One line per input that differs. */
static void say_differences(const json_t *record, const json_t *here, strbuf *out) {
  size_t i;
  json_t *input;
  json_array_foreach(here, i, input) {
    const json_t *then = inputs_find_recorded(record, input);
    const char *was = inputs_text(then, "fingerprint"), *is = inputs_text(input, "fingerprint");
    if (strcmp(was, is) == 0) continue;
    strbuf_append_char(out, '\n');
    inputs_describe(input, out);
    strbuf_append(out, ": ");
    say_fingerprint(was, out);
    strbuf_append(out, " then, ");
    say_fingerprint(is, out);
    strbuf_append(out, " now");
  }
}

static err check_record(const char *folder, const char *path, const json_t *here) {
  char *text = NULL;
  size_t length;
  strbuf said = {0};
  json_t *record = NULL;
  err error = NULL;
  if (!fs_exists(path))
    FAIL(ERR_INPUT,
         "%s: the runs there have no record of what they were trained on (inputs.json); remove "
         "that folder to train them again",
         folder);
  TRY(fs_read(path, &text, &length));
  record = json_loadb(text, length, 0, NULL);
  if (!json_is_array(record))
    FAIL(ERR_INPUT, "%s: not a list of inputs; remove %s to train its runs again", path, folder);
  say_differences(record, here, &said);
  if (said.length)
    error = err_new(ERR_INPUT,
                    "%s: the runs there were trained on other data than was found now; remove that "
                    "folder to train them again, or give the data of then:%s",
                    folder, strbuf_string(&said));
cleanup:
  json_decref(record);
  free(text);
  strbuf_free(&said);
  return error;
}

err trained_inputs_keep(const char *folder, bool has_runs, const json_t *here) {
  char *path = fs_join(folder, "inputs.json");
  err error = !path      ? mem_error(0, "a path")
              : has_runs ? check_record(folder, path, here)
                         : write_record(folder, path, here);
  free(path);
  return error;
}
