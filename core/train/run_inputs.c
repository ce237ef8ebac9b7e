#include "train/run_inputs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void run_inputs_free(run_inputs *g) {
  for (size_t i = 0; i < g->set_count; i++) free(g->sets[i].name);
  free(g->sets);
  *g = (run_inputs){0};
}

err run_inputs_add_set(run_inputs *g, const char *name, const char *digest) {
  run_inputs_set *larger = mem_resize(g->sets, g->set_count + 1, sizeof *larger);
  if (!larger) return mem_error((g->set_count + 1) * sizeof *larger, "evaluation sets");
  g->sets = larger;
  run_inputs_set *set = &g->sets[g->set_count];
  set->name = mem_copy_string(name);
  if (!set->name) return mem_error(strlen(name), "evaluation sets");
  snprintf(set->digest, sizeof set->digest, "%s", digest);
  g->set_count++;
  return NULL;
}

void run_inputs_write_sets(json_writer *w, const char *key, const run_inputs *g) {
  jsonw_object(w, key);
  for (size_t i = 0; i < g->set_count; i++) jsonw_string(w, g->sets[i].name, g->sets[i].digest);
  jsonw_end(w);
}

void run_inputs_write(json_writer *w, const char *key, const run_inputs *g) {
  jsonw_object(w, key);
  jsonw_integer(w, "data_samples", g->data_samples);
  jsonw_string(w, "data_fingerprint", g->data);
  jsonw_string(w, "vocabulary_fingerprint", g->vocabulary);
  if (*g->lexicon) jsonw_string(w, "lexicon_fingerprint", g->lexicon);
  jsonw_string(w, "init_fingerprint", g->init);
  run_inputs_write_sets(w, "evaluation_fingerprints", g);
  jsonw_string(w, "commit", g->commit);
  jsonw_string(w, "dirty", g->dirty);
  jsonw_end(w);
}

static void read_text(const json_t *object, const char *key, char *to, size_t size) {
  const char *text = json_string_value(json_object_get(object, key));
  snprintf(to, size, "%s", text ? text : "");
}

err run_inputs_read(const json_t *object, run_inputs *g) {
  const char *name;
  json_t *value;
  err error = NULL;
  *g = (run_inputs){.data_samples = json_integer_value(json_object_get(object, "data_samples"))};
  read_text(object, "data_fingerprint", g->data, sizeof g->data);
  read_text(object, "vocabulary_fingerprint", g->vocabulary, sizeof g->vocabulary);
  read_text(object, "lexicon_fingerprint", g->lexicon, sizeof g->lexicon);
  read_text(object, "init_fingerprint", g->init, sizeof g->init);
  read_text(object, "commit", g->commit, sizeof g->commit);
  read_text(object, "dirty", g->dirty, sizeof g->dirty);
  json_object_foreach(json_object_get(object, "evaluation_fingerprints"), name, value) {
    if (!error && json_is_string(value))
      error = run_inputs_add_set(g, name, json_string_value(value));
  }
  if (error) run_inputs_free(g);
  return error;
}

static bool differ(const char *a, const char *b) {
  return *a && *b && strcmp(a, b) != 0;
}

/* The first digits suffice. */
enum { SHOWN = 12 };

static const char *samples_text(int64_t samples, char text[48]) {
  if (samples)
    snprintf(text, 48, "%" PRId64 " samples", samples);
  else
    snprintf(text, 48, "samples that were not counted");
  return text;
}

static err refuse_data(const char *path, const run_inputs *before, const run_inputs *now,
                       const settings *s) {
  strbuf names = {0}, then = {0};
  char counts[2][48];
  const bool is_classifier = s->classification_classes > 0;
  const char *key = is_classifier ? "classification.train" : "data.train";
  if (is_classifier) strbuf_append(&names, s->classification_train);
  for (size_t i = 0; i < s->data_train.count && !is_classifier; i++)
    strbuf_format(&names, "%s%s", i ? ", " : "", s->data_train.items[i]);
  if (s->samples == 0 && now->data_samples != before->data_samples)
    strbuf_format(&then, " With epochs: %g, the length of the run would change too.", s->epochs);
  err error = err_new(ERR_INPUT,
                      "%s was trained on other data: %s (fingerprint %.*s…), and %s [%s] "
                      "now gives %s (%.*s…).%s Restore the earlier data to continue, or start a "
                      "new run with another --out",
                      path, samples_text(before->data_samples, counts[0]), SHOWN, before->data, key,
                      strbuf_string(&names), samples_text(now->data_samples, counts[1]), SHOWN,
                      now->data, strbuf_string(&then));
  strbuf_free(&names);
  strbuf_free(&then);
  return error;
}

static err refuse_file(const char *path, const char *what, const char *name, const char *before,
                       const char *now) {
  return err_new(ERR_INPUT,
                 "%s was made with another %s: fingerprint %.*s…, but %s now has %.*s…. Restore "
                 "the earlier file to continue, or start a new run with another --out",
                 path, what, SHOWN, before, name, SHOWN, now);
}

static const run_inputs_set *find_set(const run_inputs *g, const char *name) {
  for (size_t i = 0; i < g->set_count; i++)
    if (strcmp(g->sets[i].name, name) == 0) return &g->sets[i];
  return NULL;
}

static void compare_sets(const run_inputs *before, const run_inputs *now, strbuf *remarks) {
  for (size_t i = 0; i < now->set_count; i++) {
    const run_inputs_set *set = &now->sets[i], *earlier = find_set(before, set->name);
    if (!earlier && before->set_count)
      strbuf_format(remarks, "evaluation set %s was added after this run began\n", set->name);
    if (earlier && strcmp(earlier->digest, set->digest) != 0)
      strbuf_format(remarks,
                    "evaluation set %s has changed (fingerprint %.*s…, now %.*s…): "
                    "earlier evaluations cannot be compared with later ones\n",
                    set->name, SHOWN, earlier->digest, SHOWN, set->digest);
  }
}

/* With epochs, the length of a stream is derived from the counts next to its shards. */
static err compare_counts(const char *path, const run_inputs *before, const run_inputs *now,
                          const settings *s) {
  bool is_counted = s->data_order == DATA_ORDER_STREAM && !s->epoch_samples &&
                    (s->epochs > 0 || s->warmup_epochs > 0);
  if (!is_counted || !*before->data || before->data_samples == now->data_samples) return NULL;
  return err_new(ERR_INPUT,
                 "%s: the counts next to the shards gave %" PRId64 " samples, and now give %" PRId64
                 ": the length of the run would change. Restore the earlier files to continue, or "
                 "start a new run with another --out",
                 path, before->data_samples, now->data_samples);
}

err run_inputs_compare(const char *path, const run_inputs *before, const run_inputs *now,
                       const settings *s, strbuf *remarks) {
  if (differ(before->data, now->data)) return refuse_data(path, before, now, s);
  err error = compare_counts(path, before, now, s);
  if (error) return error;
  if (differ(before->vocabulary, now->vocabulary))
    return refuse_file(path, "vocabulary", s->text_vocabulary, before->vocabulary, now->vocabulary);
  if (differ(before->lexicon, now->lexicon))
    return refuse_file(path, "text_mask_lexicon", s->text_mask_lexicon, before->lexicon,
                       now->lexicon);
  if (differ(before->init, now->init))
    return refuse_file(path, "init_from", s->init_from, before->init, now->init);
  compare_sets(before, now, remarks);
  const bool is_known = *before->commit || *before->dirty;
  if (is_known && (differ(before->commit, now->commit) || strcmp(before->dirty, now->dirty) != 0))
    strbuf_format(remarks,
                  "the checkpoint was written by another version of the program: commit %.*s%s, "
                  "now %.*s%s\n",
                  SHOWN, before->commit, *before->dirty ? " with changes" : "", SHOWN, now->commit,
                  *now->dirty ? " with changes" : "");
  return NULL;
}
