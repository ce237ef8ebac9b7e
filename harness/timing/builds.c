#include "timing/builds.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/json_lines.h"

static err name_file(const char *results, strbuf *path) {
  strbuf_format(path, "%s/benchmarks/builds.jsonl", results);
  return path->is_broken ? mem_error(0, "a path") : NULL;
}

static bool has_value(const json_t *list, const char *text) {
  for (size_t i = 0; i < json_array_size(list); i++)
    if (strcmp(json_string_value(json_array_get(list, i)), text) == 0) return true;
  return false;
}

/* Those of this build command on this machine, and of others. */
typedef struct {
  const builds_place *place;
  json_t *own, *others; /* free both with json_decref */
} known_builds;

static void take_build(const json_t *line, void *context) {
  const known_builds *known = context;
  json_t *build = json_object_get(line, "build");
  if (!json_is_string(build) || strcmp(json_text_of(line, "machine"), known->place->machine) != 0)
    return;
  bool is_own = strcmp(json_text_of(line, "build_command"), known->place->command) == 0;
  json_array_append(is_own ? known->own : known->others, build);
}

static err read_builds(const builds_place *place, known_builds *known) {
  strbuf path = {0};
  *known = (known_builds){place, json_array(), json_array()};
  err error = name_file(place->results, &path);
  if (!error) error = json_lines_each(strbuf_string(&path), 0, take_build, known);
  strbuf_free(&path);
  return error;
}

static err append_build(const builds_place *place, const char *build) {
  strbuf line = {0}, path = {0};
  json_writer w = jsonw_start(&line);
  jsonw_object(&w, NULL);
  jsonw_string(&w, "event", "built"); /* no sample (store_ingest_samples) */
  jsonw_string(&w, "build_command", place->command);
  jsonw_string(&w, "machine", place->machine);
  jsonw_string(&w, "build", build);
  jsonw_end(&w);
  err error = name_file(place->results, &path);
  if (!error) error = json_lines_append(strbuf_string(&path), &line);
  strbuf_free(&line);
  strbuf_free(&path);
  return error;
}

err builds_record(const builds_place *place, const char *build) {
  known_builds known = {0};
  err error = read_builds(place, &known);
  if (!error && *build && !has_value(known.own, build)) error = append_build(place, build);
  json_decref(known.own);
  json_decref(known.others);
  return error;
}

err builds_list_others(const builds_place *place, char **text) {
  known_builds known;
  json_t *list = json_array();
  err error = read_builds(place, &known);
  for (size_t i = 0; i < json_array_size(known.others); i++)
    if (!has_value(known.own, json_string_value(json_array_get(known.others, i))))
      json_array_append(list, json_array_get(known.others, i));
  *text = error ? NULL : json_dumps(list, 0);
  json_decref(known.own);
  json_decref(known.others);
  json_decref(list);
  return error || *text ? error : mem_error(0, "builds");
}

typedef struct {
  const char *machine, *sides[2];
  json_t *commands[2]; /* the keys: those that gave each */
} shared_commands;

static void take_command(const json_t *line, void *context) {
  const shared_commands *shared = context;
  if (strcmp(json_text_of(line, "machine"), shared->machine) != 0) return;
  for (size_t i = 0; i < 2; i++)
    if (strcmp(json_text_of(line, "build"), shared->sides[i]) == 0)
      json_object_set_new(shared->commands[i], json_text_of(line, "build_command"), json_true());
}

err builds_have_one_command(const char *results, const char *machine, const char *a, const char *b,
                            bool *have_one) {
  shared_commands shared = {machine, {a, b}, {json_object(), json_object()}};
  strbuf path = {0};
  const char *command;
  json_t *value;
  err error = name_file(results, &path);
  *have_one = false;
  if (!error) error = json_lines_each(strbuf_string(&path), 0, take_command, &shared);
  json_object_foreach(shared.commands[0], command,
                      value) if (json_object_get(shared.commands[1], command)) *have_one = true;
  json_decref(shared.commands[0]);
  json_decref(shared.commands[1]);
  strbuf_free(&path);
  return error;
}
