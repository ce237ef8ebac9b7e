#include "exchange/localise.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "config/yaml.h"
#include "exchange/inputs.h"
#include "exchange/place.h"
#include "exchange/place_link.h"
#include "exchange/place_map.h"

enum { MOST_DEPTH = 8 };

/* ---- bases ---- */

static const char *const base_keys[] = {"base", NULL};
static const char *const set_keys[] = {"images", "class_file", "template_file", NULL};

static err map_bases(const localise_place *p, const place_map *map, const char *path, int depth);

static err map_bases_under(const localise_place *p, const place_map *map, const yml_node *node,
                           const char *path, int depth) {
  err error = NULL;
  for (size_t i = 0; node->kind == YML_MAP && i < node->count && !error; i++) {
    const yml_node *item = node->items[i];
    bool is_base = strcmp(node->keys[i]->scalar, "base") == 0;
    size_t count = item->kind == YML_SEQUENCE ? item->count : 1;
    if (!is_base) error = map_bases_under(p, map, item, path, depth);
    for (size_t k = 0; is_base && k < count && !error; k++) {
      const yml_node *name = item->kind == YML_SEQUENCE ? item->items[k] : item;
      if (name->kind != YML_SCALAR) continue;
      char *found = settings_find_base(path, name->scalar);
      size_t length = strlen(p->inside);
      if (found && strncmp(found, p->inside, length) == 0 && found[length] == '/')
        error = map_bases(p, map, found, depth + 1);
      free(found);
    }
  }
  return error;
}

/* In `path` first, so that its bases are found in the bundle. */
static err map_bases(const localise_place *p, const place_map *map, const char *path, int depth) {
  yml_document *document = NULL;
  if (depth > MOST_DEPTH) return NULL;
  err error = place_map_file(map, path, base_keys);
  if (!error) error = yml_load(path, &document);
  if (!error) error = map_bases_under(p, map, yml_root(document), path, depth);
  yml_free(document);
  return error;
}

err localise_bases(const localise_place *p, const bundle_manifest *m) {
  place_map map = {0};
  size_t i;
  json_t *base;
  strbuf normal = {0}, path = {0};
  err error = NULL;
  json_array_foreach(m->bases, i, base) {
    const char *name = json_string_value(base);
    if (error || !name || *name != '/') continue;
    strbuf_clear(&normal);
    strbuf_clear(&path);
    place_normalise(name, &normal);
    strbuf_format(&path, "%s/absolute%s", p->inside, strbuf_string(&normal));
    error = place_map_add(&map, name, strbuf_string(&path));
  }
  strbuf_clear(&path);
  strbuf_format(&path, "%s/%s", p->inside, m->experiment);
  if (!error && map.count) error = map_bases(p, &map, strbuf_string(&path), 0);
  place_map_free(&map);
  strbuf_free(&normal);
  strbuf_free(&path);
  return error;
}

/* ---- inputs of the cells ---- */

/* The location of an absolute path in the bundle, if something exists there. */
static err add_absolute(const localise_place *p, const char *path, place_map *map) {
  strbuf normal = {0}, own = {0};
  if (*path != '/' || place_map_has(map, path)) return NULL;
  place_normalise(path, &normal);
  strbuf_format(&own, "%s/absolute%s", p->inside, strbuf_string(&normal));
  err error =
      link_is_there(strbuf_string(&own)) ? place_map_add(map, path, strbuf_string(&own)) : NULL;
  strbuf_free(&normal);
  strbuf_free(&own);
  return error;
}

static err map_cells(const place_map *map, spec_experiment *e) {
  err error = NULL;
  for (size_t i = 0; i < e->cell_count && map->count && !error; i++) {
    settings *s = &e->cells[i].settings;
    error = place_map_text(map, (char **)&s->text_vocabulary);
    if (!error) error = place_map_text(map, (char **)&s->text_mask_lexicon);
    if (!error) error = place_map_text(map, (char **)&s->init_from);
    if (!error) error = place_map_text(map, (char **)&s->eval_probe_train);
    if (!error) error = place_map_text(map, (char **)&s->classification_train);
    for (size_t k = 0; k < s->data_train.count && !error; k++)
      error = place_map_text(map, &s->data_train.items[k]);
    for (size_t k = 0; k < s->eval_sets.count && !error; k++)
      error = place_map_text(map, &s->eval_sets.items[k]);
  }
  return error;
}

/* Uses the bundle's own copies of evaluation sets, so that they can be changed. */
static err map_sets(const localise_place *p, const place_map *map, const json_t *inputs) {
  size_t i;
  json_t *input;
  err error = NULL;
  json_array_foreach(inputs, i, input) {
    if (error || !map->count || !inputs_has_role(input, "set")) continue;
    const char *name = json_string_value(json_array_get(json_object_get(input, "names"), 0));
    strbuf path = {0};
    if (*name != '/') strbuf_format(&path, "%s/", p->start);
    strbuf_append(&path, name);
    if (link_is_own(p->inside, strbuf_string(&path)))
      error = place_map_file(map, strbuf_string(&path), set_keys);
    strbuf_free(&path);
  }
  return error;
}

/* Maps every path of `inputs` to its local location; with is_linking also outside the bundle. */
static err map_paths(const localise_place *p, const json_t *inputs, bool is_linking,
                     place_map *map) {
  size_t i, k;
  json_t *input, *path;
  err error = NULL;
  json_array_foreach(inputs, i, input) {
    json_array_foreach(json_object_get(input, "paths"), k, path) {
      if (!error && is_linking) error = link_path(p, json_string_value(path));
      if (!error) error = add_absolute(p, json_string_value(path), map);
    }
  }
  return error;
}

err localise_inputs(const localise_place *p, const char *flip, spec_experiment *e, json_t **here) {
  place_map map = {0};
  json_t *inputs = NULL;
  err error = NULL;
  /* twice: the files of an evaluation set or a list are known only once that itself is found */
  for (int round = 0; round < 2 && !error; round++) {
    json_decref(inputs);
    inputs = NULL;
    for (size_t i = 0; i < e->cell_count && !error; i++) {
      const settings *s = &e->cells[i].settings;
      error = add_absolute(p, s->text_vocabulary, &map);
      if (!error) error = add_absolute(p, s->text_mask_lexicon, &map);
      if (!error) error = add_absolute(p, s->eval_probe_train, &map);
      if (!error) error = add_absolute(p, s->classification_train, &map);
      for (size_t k = 0; k < s->eval_sets.count && !error; k++)
        error = add_absolute(p, s->eval_sets.items[k], &map);
    }
    if (!error) error = map_cells(&map, e);
    if (!error) error = inputs_list(flip, e, &inputs);
    if (!error) error = map_paths(p, inputs, true, &map);
    if (!error) error = map_cells(&map, e);
    if (!error) error = map_sets(p, &map, inputs);
  }
  json_decref(inputs);
  place_map_free(&map);
  return error ? error : inputs_list(flip, e, here);
}

/* ---- comparison with the record ---- */

/* Absolute paths may have been mapped: restores those in the bundle's own folder. */
static json_t *unmapped(const localise_place *p, const json_t *input) {
  json_t *copy = json_deep_copy(input), *names = json_object_get(copy, "names");
  strbuf own = {0};
  strbuf_format(&own, "%s/absolute/", p->inside);
  for (size_t i = 0; i <= json_array_size(names); i++) {
    bool is_setting = i == json_array_size(names);
    const char *text =
        is_setting ? inputs_text(copy, "setting") : json_string_value(json_array_get(names, i));
    const char *at = text ? strstr(text, strbuf_string(&own)) : NULL;
    if (!at) continue;
    strbuf was = {0};
    strbuf_append_bytes(&was, text, (size_t)(at - text));
    strbuf_append(&was, at + own.length - 1);
    if (is_setting)
      json_object_set_new(copy, "setting", json_string(strbuf_string(&was)));
    else
      json_array_set_new(names, i, json_string(strbuf_string(&was)));
    strbuf_free(&was);
  }
  strbuf_free(&own);
  return copy;
}

static json_t *find_file(const json_t *files, const char *path) {
  size_t i;
  json_t *file;
  json_array_foreach(files, i, file) {
    if (strcmp(inputs_text(file, "path"), path) == 0) return file;
  }
  return NULL;
}

static int64_t bytes_of(const json_t *object) {
  return json_integer_value(json_object_get(object, "bytes"));
}

/* "7 files, 31.2 MiB" */
static void say_size(const json_t *input, strbuf *out) {
  char size[TEXT_NUMBER_SIZE];
  size_t count = json_array_size(json_object_get(input, "files"));
  strbuf_format(out, "%zu file%s, %s", count, count == 1 ? "" : "s",
                text_bytes((uint64_t)bytes_of(input), size));
}

/* The first few differences of two lists of files. */
static void say_files(const json_t *recorded, const json_t *here, strbuf *out) {
  enum { MOST_NAMED = 6 };
  const json_t *first = json_object_get(recorded, "files"), *again = json_object_get(here, "files");
  size_t i, said = 0, left = 0;
  json_t *file;
  char a[TEXT_NUMBER_SIZE], b[TEXT_NUMBER_SIZE];
  json_array_foreach(first, i, file) {
    const json_t *other = find_file(again, inputs_text(file, "path"));
    bool is_missing = !other || json_is_null(json_object_get(other, "found"));
    if (!is_missing && bytes_of(other) == bytes_of(file)) continue;
    if (said++ >= MOST_NAMED) {
      left++;
      continue;
    }
    strbuf_format(out, "\n  %s: ", inputs_text(file, "path"));
    if (is_missing)
      strbuf_format(out, "missing here (%s)", text_bytes((uint64_t)bytes_of(file), a));
    else
      strbuf_format(out, "%s here, %s recorded", text_bytes((uint64_t)bytes_of(other), a),
                    text_bytes((uint64_t)bytes_of(file), b));
  }
  json_array_foreach(again, i, file) {
    if (!json_array_size(first) || find_file(first, inputs_text(file, "path"))) continue;
    if (said++ < MOST_NAMED)
      strbuf_format(out, "\n  %s: not recorded", inputs_text(file, "path"));
    else
      left++;
  }
  if (left) strbuf_format(out, "\n  and %zu more", left);
}

static void say_remedy(const json_t *recorded, strbuf *out) {
  static const char *const made[] = {"openclipart", "emoji"};
  const char *path = json_string_value(json_array_get(json_object_get(recorded, "paths"), 0));
  strbuf_append(out,
                "\n  run 'flipbench reproduce' in the folder that these paths are relative to, or "
                "pass --data FOLDER, the folder that holds them");
  for (size_t i = 0; path && i < sizeof made / sizeof *made; i++) {
    const char *at = strstr(path, made[i]);
    const char *slash = at ? strchr(at, '/') : NULL;
    if (!slash) continue;
    strbuf_format(out, "; this data can be generated: flip data %s --out %.*s", made[i],
                  (int)(slash - path), path);
  }
  strbuf_append_char(out, '\n');
}

static bool is_recorded(const json_t *recorded, const char *fingerprint) {
  const json_t *list = json_object_get(recorded, "recorded");
  for (size_t i = 0; i < json_array_size(list); i++)
    if (strcmp(json_string_value(json_array_get(list, i)), fingerprint) == 0) return true;
  return strcmp(inputs_text(recorded, "fingerprint"), fingerprint) == 0;
}

static void compare_one(const json_t *recorded, const json_t *here, strbuf *said,
                        localise_match *match) {
  const char *problem = inputs_text(here, "problem"), *now = inputs_text(here, "fingerprint");
  const json_t *list = json_object_get(recorded, "recorded");
  const char *then = json_array_size(list) ? json_string_value(json_array_get(list, 0))
                                           : inputs_text(recorded, "fingerprint");
  bool is_of_runs = json_array_size(list) > 0;
  inputs_describe(recorded, said);
  if (*problem && *inputs_text(recorded, "problem") && !*then) {
    strbuf_append(said, ": missing here, and was missing where the bundle was made\n");
  } else if (*problem) {
    strbuf_format(said, ": missing here (%s)", problem);
    say_files(recorded, here, said);
    say_remedy(recorded, said);
    match->absent++;
  } else if (!*now || !*then) {
    strbuf_append(said, ": found; cannot be verified, no fingerprint was recorded\n");
    match->unknown++;
  } else if (is_recorded(recorded, now)) {
    strbuf_format(said, ": same as %s (", is_of_runs ? "recorded" : "where the bundle was made");
    say_size(here, said);
    strbuf_append(said, ")\n");
    match->same++;
  } else {
    strbuf_format(said, ": differs from %s (fingerprint %.10s here, %.10s %s)",
                  is_of_runs ? "the record" : "where the bundle was made", now, then,
                  is_of_runs ? "recorded" : "there");
    say_files(recorded, here, said);
    strbuf_append_char(said, '\n');
    match->different++;
    match->unrecorded += !is_of_runs;
  }
}

/* A packed file is what the bundle has; its paths may have been mapped. All else may be another
 * here. */
static bool is_comparable(const json_t *known, const json_t *here) {
  const json_t *files = json_object_get(known, "files");
  bool is_packed = json_array_size(files) > 0;
  if (json_array_size(json_object_get(known, "recorded"))) return true;
  for (size_t i = 0; i < json_array_size(files); i++)
    is_packed = is_packed && json_is_true(json_object_get(json_array_get(files, i), "packed"));
  return inputs_is_data(here) || *inputs_text(here, "problem") || !is_packed;
}

void localise_compare(const localise_place *p, const json_t *recorded, const json_t *here,
                      strbuf *said, localise_match *match) {
  size_t i, k;
  json_t *input, *then;
  *match = (localise_match){0};
  json_array_foreach(here, i, input) {
    if (inputs_has_role(input, "required")) continue;
    json_t *own = unmapped(p, input);
    json_t *known = inputs_find_recorded(recorded, own), *only = NULL;
    json_array_foreach(recorded, k, then) { /* version 1: fingerprints without names */
      bool is_bare = !json_object_get(then, "names");
      if (is_bare && inputs_has_role(own, "train")) only = then;
    }
    if (!known && only) {
      known = json_copy(own);
      json_object_del(known, "fingerprint");
      json_object_del(known, "files");
      json_object_set(known, "recorded", json_object_get(only, "recorded"));
    } else {
      json_incref(known);
    }
    if (known && is_comparable(known, own))
      compare_one(known, own, said, match);
    else if (!known && *inputs_text(own, "problem"))
      compare_one(own, own, said, match);
    json_decref(known);
    json_decref(own);
  }
}
