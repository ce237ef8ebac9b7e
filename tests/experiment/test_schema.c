/* The JSON Schema that editors complete experiment files from. */
#include "support/test.h"

#include <stdlib.h>

#include "base/fs.h"
#include "config/yaml.h"
#include "experiment/format.h"
#include "support/json_schema.h"

static json_t *schema;

static int load_schema(void **state) {
  (void)state;
  char *text;
  size_t length;
  assert_ok(fs_read(FLIP_SOURCE_DIR "/experiments/experiment.schema.json", &text, &length));
  schema = json_loadb(text, length, 0, NULL);
  free(text);
  return schema ? 0 : -1;
}

static int free_schema(void **state) {
  (void)state;
  json_decref(schema);
  return 0;
}

/* As an editor reads YAML (1.2): plain scalars have types. */
static json_t *to_json(const yml_node *node) {
  if (node->kind == YML_MAP) {
    json_t *map = json_object();
    for (size_t i = 0; i < node->count; i++)
      json_object_set_new(map, node->keys[i]->scalar, to_json(node->items[i]));
    return map;
  }
  if (node->kind == YML_SEQUENCE) {
    json_t *list = json_array();
    for (size_t i = 0; i < node->count; i++) json_array_append_new(list, to_json(node->items[i]));
    return list;
  }
  char *end;
  if (!node->is_plain) return json_string(node->scalar);
  if (yml_is_null(node)) return json_null();
  if (strcmp(node->scalar, "true") == 0 || strcmp(node->scalar, "false") == 0)
    return json_boolean(node->scalar[0] == 't');
  long long whole = strtoll(node->scalar, &end, 10);
  if (!*end) return json_integer(whole);
  double real = strtod(node->scalar, &end);
  return *end ? json_string(node->scalar) : json_real(real);
}

static bool satisfies(const char *name, const char *text, size_t length, strbuf *why) {
  yml_document *document;
  assert_ok(yml_parse(name, text, length, &document));
  json_t *value = to_json(yml_root(document));
  bool holds = json_schema_holds(schema, schema, value, name, why);
  json_decref(value);
  yml_free(document);
  return holds;
}

static void the_shipped_schema_is_what_the_tables_say(void **state) {
  (void)state;
  strbuf text = {0};
  spec_write_schema(&text);
  json_t *now = json_loads(strbuf_string(&text), 0, NULL);
  assert_non_null(now);
  if (!json_equal(now, schema))
    fail_msg("experiments/experiment.schema.json is stale: put the output of 'flipbench check "
             "--schema' into it");
  json_decref(now);
  strbuf_free(&text);
}

static size_t check_folder(const char *folder) {
  char **names;
  size_t count, checked = 0;
  assert_ok(fs_list(folder, &names, &count));
  for (size_t i = 0; i < count; i++) {
    size_t length = strlen(names[i]);
    char *path = fs_join(folder, names[i]), *text;
    strbuf why = {0};
    if (length > 5 && strcmp(names[i] + length - 5, ".yaml") == 0) {
      assert_ok(fs_read(path, &text, &length));
      if (!satisfies(names[i], text, length, &why)) fail_msg("%s", strbuf_string(&why));
      free(text);
      checked++;
    }
    strbuf_free(&why);
    free(path);
  }
  fs_free_names(names, count);
  return checked;
}

static void every_shipped_experiment_satisfies_the_schema(void **state) {
  (void)state;
  assert_true(check_folder(FLIP_SOURCE_DIR "/experiments") >= 3);
  assert_true(check_folder(FLIP_SOURCE_DIR "/experiments/paper") >= 15);
}

static void the_schema_takes_every_part_of_the_format(void **state) {
  (void)state;
  static const char text[] =
      "name: all\ntitle: All of it\nsource: me\nbase: [a.yaml, b.yaml]\n"
      "settings: {samples: 12.8M, image: {size: 64}, data.train: [a.tar, b.tar], mask_mode: grid}\n"
      "matrix:\n  mask_ratio: [0, 0.5]\n  seed: 3\n"
      "  scale: [{label: small, image.size: 32}, {base: c.yaml}]\n"
      "include: [{mask_ratio: 0.9, seed: 0}]\nexclude: [{mask_ratio: 0.5, seed: [1, 2]}]\n"
      "profiles: {short: {settings: {samples: 10}, tuning: null}}\n"
      "tuning: {unmasked: {from: \"${cell}\", unless: {mask_ratio: [0, 0.1]}, samples: 5k}}\n"
      "environment: {OMP_NUM_THREADS: 4}\nschedule: turns\n"
      "requires: {gpus: 1, cores: 2, memory: 16GiB, variables: DATA, files: [data]}\n"
      "limits:\n  - {time: 1h30m, memory: 8GiB, retries: 2, retry_wait: 5s}\n"
      "  - {when: {tuning: unmasked}, time: 600}\n"
      "slurm: {partition: gpu, account: me, options: [--exclusive], setup: module load cuda}\n"
      "report:\n  rows: [mask_ratio]\n  columns: [speedup, batch_size]\n"
      "  baseline: {mask_ratio: 0}\n  iso: zero_shot_top1\n  plots: [loss]\n"
      "  reference: [{mask_ratio: 0.5, speedup: 2, verified: false, source: paper},\n"
      "    {text: none, speedup: 1}, {text: {width: 32}, speedup: 1}]\n"
      "claims: [{claim: c, metric: zero_shot_top1, of: {text: [a, b]}, expect: greater}]\n";
  strbuf why = {0};
  if (!satisfies("all", text, sizeof text - 1, &why)) fail_msg("%s", strbuf_string(&why));
}

static void the_schema_refuses_what_flipbench_refuses(void **state) {
  (void)state;
  static const char *const wrong[] = {"matrx: {seed: [1]}",
                                      "settings: {mask_rato: 0.5}",
                                      "settings: {image: {siz: 8}}",
                                      "settings: {mask_ratio: 2}",
                                      "settings: {mask_mode: rndom}",
                                      "matrix: {seed: []}",
                                      "limits: {time: soon}",
                                      "limits: [{memry: 8GiB}]",
                                      "requires: {gpus: -1}",
                                      "slurm: {partion: gpu}",
                                      "schedule: sometimes",
                                      "report: {colums: [speedup]}",
                                      "tuning: {a: {fom: x}}",
                                      "profiles: {a: {matrx: {}}}",
                                      "report: {baseline: {text: {mask_rato: 0.5}}}"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    strbuf why = {0};
    if (satisfies("wrong", wrong[i], strlen(wrong[i]), &why)) fail_msg("taken: %s", wrong[i]);
    strbuf_free(&why);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_shipped_schema_is_what_the_tables_say),
      cmocka_unit_test(every_shipped_experiment_satisfies_the_schema),
      cmocka_unit_test(the_schema_takes_every_part_of_the_format),
      cmocka_unit_test(the_schema_refuses_what_flipbench_refuses),
  };
  return cmocka_run_group_tests(tests, load_schema, free_schema);
}
