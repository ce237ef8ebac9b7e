#include "exchange/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/shipped.h"
#include "base/command.h"

bool inputs_has_role(const json_t *input, const char *role) {
  return strcmp(inputs_text(input, "role"), role) == 0;
}

bool inputs_is_data(const json_t *input) {
  return inputs_has_role(input, "train") || inputs_has_role(input, "evaluation");
}

const char *inputs_text(const json_t *input, const char *key) {
  const char *text = json_string_value(json_object_get(input, key));
  return text ? text : "";
}

static bool is_named_alike(const json_t *a, const json_t *b) {
  static const char *const keys[] = {"role", "setting", "names"};
  for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
    if (!json_equal(json_object_get(a, keys[k]), json_object_get(b, keys[k]))) return false;
  return true;
}

static bool is_of_order(const json_t *input, const char *order) {
  return strcmp(inputs_text(input, "order"), order) == 0;
}

json_t *inputs_find(const json_t *list, const json_t *input) {
  size_t i;
  json_t *other;
  json_array_foreach(list, i, other) {
    if (is_named_alike(other, input) && is_of_order(other, inputs_text(input, "order")))
      return other;
  }
  return NULL;
}

json_t *inputs_find_recorded(const json_t *recorded, const json_t *input) {
  json_t *found = inputs_find(recorded, input), *other;
  size_t i;
  json_array_foreach(recorded, i, other) {
    if (!found && is_named_alike(other, input) && is_of_order(other, "")) found = other;
  }
  return found;
}

/* data.order as "order" has it. */
static const char *order_of(const settings *s) {
  return s->data_order == DATA_ORDER_STREAM ? "stream" : "";
}

bool inputs_is_train_data_of(const json_t *input, const settings *s) {
  const json_t *own = json_object_get(input, "names");
  const settings_list *names = &s->data_train;
  if (s->classification_classes > 0) return false; /* trained on a labelled set */
  if (json_array_size(own) != names->count || !is_of_order(input, order_of(s))) return false;
  for (size_t i = 0; i < names->count; i++) {
    const char *name = json_string_value(json_array_get(own, i));
    if (!name || strcmp(name, names->items[i]) != 0) return false;
  }
  return true;
}

void inputs_describe(const json_t *input, strbuf *out) {
  static const struct {
    const char *role, *words;
  } roles[] = {{"train", "training data"},     {"evaluation", "evaluation images"},
               {"set", "evaluation set"},      {"vocabulary", "vocabulary"},
               {"lexicon", "lexicon"},         {"classes", "class file"},
               {"templates", "template file"}, {"weights", "weights"},
               {"labels", "label file"},       {"required", "required file"}};
  const char *words = inputs_text(input, "role");
  const json_t *names = json_object_get(input, "names");
  for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
    if (strcmp(roles[i].role, words) == 0) words = roles[i].words;
  strbuf_append(out, words);
  for (size_t i = 0; i < json_array_size(names); i++)
    strbuf_format(out, "%s %s", i ? "," : "", json_string_value(json_array_get(names, i)));
  if (*inputs_text(input, "order"))
    strbuf_format(out, " (data.order: %s)", inputs_text(input, "order"));
}

/* ---- asking the trainer ---- */

/* Cells that agree in these read the same files. */
static void write_key(const settings *s, strbuf *key) {
  static const char *const names[] = {
      "data.train",      "data.order",       "eval.sets",
      "text.vocabulary", "text_mask_mode",   "text_mask_lexicon",
      "init_from",       "eval.probe_train", "classification.train"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    setting_format(settings_find(names[i]), s, key);
    strbuf_append_char(key, '\n');
  }
}

static err write_settings(const settings *s, char *path) {
  strbuf text = {0};
  settings_write_yaml(s, &text);
  int fd = mkstemps(path, 5);
  err error = fd < 0 ? err_new(ERR_IO, "%s: cannot create a temporary file", path) : NULL;
  if (!error && text.is_broken) error = mem_error(0, "settings");
  if (!error) error = fs_write_all(fd, text.data, text.length, path);
  if (fd >= 0) close(fd);
  strbuf_free(&text);
  return error;
}

static err take_answer(const strbuf *answer, json_t *list) {
  json_t *document = json_loads(strbuf_string(answer), 0, NULL), *one;
  const json_t *found = json_object_get(document, "inputs");
  size_t i;
  bool is_answer = json_is_array(found);
  json_array_foreach(found, i, one) {
    if (!inputs_find(list, one)) json_array_append(list, one);
  }
  json_decref(document);
  return is_answer ? NULL : err_new(ERR_INPUT, "'flip inputs' printed no list of files");
}

static err ask(const char *flip, const settings *s, json_t *list) {
  const char *folder = getenv("TMPDIR");
  char path[4096];
  strbuf answer = {0};
  snprintf(path, sizeof path, "%s/flipbench-XXXXXX.yaml", folder && *folder ? folder : "/tmp");
  err error = write_settings(s, path);
  char *words[] = {(char *)flip, "inputs", "--config", path, "--json", NULL};
  if (!error) error = command_capture(words, &answer);
  if (!error) error = take_answer(&answer, list);
  unlink(path);
  strbuf_free(&answer);
  return error;
}

/* Inputs by name from the settings, for a trainer that cannot list them: without sizes and
 * fingerprints. */
static void add_plain(json_t *list, const char *role, const char *where, char *const *names,
                      size_t count, const char *order) {
  json_t *words = json_array(), *paths = json_array(), *files = json_array();
  for (size_t i = 0; i < count; i++) {
    char *found = shipped_or_given(names[i]);
    bool is_file = found && fs_exists(found) && !fs_is_folder(found);
    json_array_append_new(words, json_string(names[i]));
    json_array_append_new(paths, json_string(names[i]));
    if (is_file && strcmp(role, "train") != 0)
      json_array_append_new(
          files, json_pack("{ss ss sI}", "path", names[i], "found", found, "bytes", (json_int_t)0));
    free(found);
  }
  json_t *input = json_pack("{ss ss so so so sI ss sn}", "role", role, "setting", where, "names",
                            words, "paths", paths, "files", files, "bytes", (json_int_t)0,
                            "fingerprint", "", "problem");
  if (*order) json_object_set_new(input, "order", json_string(order));
  if (!inputs_find(list, input)) json_array_append(list, input);
  json_decref(input);
}

static void add_named(json_t *list, const settings *s) {
  if (s->data_train.count)
    add_plain(list, "train", "data.train", s->data_train.items, s->data_train.count, order_of(s));
  if (*s->text_vocabulary)
    add_plain(list, "vocabulary", "text.vocabulary", (char *const *)&s->text_vocabulary, 1, "");
  if (s->text_mask_mode == TEXT_MASK_SYNTAX && s->classification_classes == 0)
    add_plain(list, "lexicon", "text_mask_lexicon", (char *const *)&s->text_mask_lexicon, 1, "");
  if (*s->init_from && !spec_parent_id(s))
    add_plain(list, "weights", "init_from", (char *const *)&s->init_from, 1, "");
  for (size_t i = 0; i < s->eval_sets.count; i++)
    add_plain(list, "set", "eval.sets", &s->eval_sets.items[i], 1, "");
  if (*s->eval_probe_train)
    add_plain(list, "set", "eval.probe_train", (char *const *)&s->eval_probe_train, 1, "");
  if (*s->classification_train)
    add_plain(list, "set", "classification.train", (char *const *)&s->classification_train, 1, "");
}

static void add_required(const spec_experiment *e, json_t *list) {
  for (size_t i = 0; i < e->requires.files.count; i++) {
    const char *name = e->requires.files.items[i];
    json_array_append_new(list,
                          json_pack("{ss ss s[s] s[s] s[] sI ss sn}", "role", "required", "setting",
                                    "requires.files", "names", name, "paths", name, "files",
                                    "bytes", (json_int_t)0, "fingerprint", "", "problem"));
  }
}

err inputs_list(const char *flip, const spec_experiment *e, json_t **inputs) {
  json_t *list = json_array();
  spec_names known = {0};
  bool can_ask = true;
  err error = list ? NULL : mem_error(0, "the list of files");
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    strbuf key = {0};
    write_key(&e->cells[i].settings, &key);
    bool is_known = false;
    for (size_t k = 0; k < known.count; k++)
      is_known = is_known || strcmp(known.items[k], strbuf_string(&key)) == 0;
    if (!is_known) error = spec_names_add(&known, strbuf_string(&key));
    if (!is_known && !error && can_ask) {
      err refused =
          flip ? ask(flip, &e->cells[i].settings, list) : err_new(ERR_INPUT, "no trainer found");
      can_ask = !refused;
      if (refused && err_kind_of(refused) == ERR_MEMORY) {
        error = refused;
        refused = NULL;
      }
      if (refused)
        log_warning(
            "the runs' inputs are recorded by name only, without sizes and fingerprints: %s",
            err_message(refused));
      err_free(refused);
    }
    if (!is_known && !error && !can_ask) add_named(list, &e->cells[i].settings);
    strbuf_free(&key);
  }
  add_required(e, list);
  spec_names_free(&known);
  if (error)
    json_decref(list);
  else
    *inputs = list;
  return error;
}
