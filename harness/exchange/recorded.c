#include "exchange/recorded.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "exchange/inputs.h"
#include "report/results.h"
#include "store/inputs.h"

/* The inputs of a cell's result; run_id 0: it has none. Free with store_free_inputs. */
static err load(store *s, const store_result *result, store_inputs *given) {
  *given = (store_inputs){0};
  return result->run_id ? store_load_inputs(s, result->run_id, given) : NULL;
}

/* ---- the fingerprints of one input ---- */

bool recorded_has_kind(const json_t *input) {
  return inputs_has_role(input, "train") || inputs_has_role(input, "vocabulary") ||
         inputs_has_role(input, "lexicon") || inputs_has_role(input, "weights");
}

/* Does a run with these settings read it? */
static bool is_read(const json_t *input, const settings *s) {
  const char *name = json_string_value(json_array_get(json_object_get(input, "names"), 0));
  bool reads_text = s->classification_classes == 0;
  if (inputs_has_role(input, "train")) return inputs_is_train_data_of(input, s);
  if (inputs_has_role(input, "vocabulary"))
    return reads_text && name && strcmp(name, s->text_vocabulary) == 0;
  if (inputs_has_role(input, "lexicon"))
    return reads_text && name && s->text_mask_mode == TEXT_MASK_SYNTAX &&
           strcmp(name, s->text_mask_lexicon) == 0;
  return name && strcmp(name, s->init_from) == 0;
}

/* Of a vocabulary and a lexicon the runs' record is "DIGEST+DIGEST". */
static void cut_out(const json_t *input, char *digests) {
  char *plus = strchr(digests, '+');
  if (inputs_has_role(input, "vocabulary") && plus) *plus = '\0';
  if (inputs_has_role(input, "lexicon"))
    memmove(digests, plus ? plus + 1 : "", plus ? strlen(plus) : 1);
}

static err find_one(store *s, const json_t *input, const store_result *result, char **fingerprint) {
  store_inputs given;
  *fingerprint = NULL;
  err error = load(s, result, &given);
  if (error || !given.run_id) return error;
  input_kind kind = inputs_has_role(input, "train")     ? INPUT_DATA
                    : inputs_has_role(input, "weights") ? INPUT_INIT
                                                        : INPUT_VOCABULARY;
  *fingerprint = mem_copy_string(given.got[kind]);
  if (*fingerprint)
    cut_out(input, *fingerprint);
  else
    error = mem_error(0, "a fingerprint");
  store_free_inputs(&given);
  return error;
}

static bool has_text(const json_t *list, const char *text) {
  for (size_t i = 0; i < json_array_size(list); i++)
    if (strcmp(json_string_value(json_array_get(list, i)), text) == 0) return true;
  return false;
}

err recorded_fingerprints(store *s, const spec_experiment *e, const store_result *results,
                          const json_t *input, json_t **recorded) {
  json_t *list = json_array();
  err error = list ? NULL : mem_error(0, "fingerprints");
  for (size_t i = 0; i < e->cell_count && !error; i++) {
    char *fingerprint;
    if (!is_read(input, &e->cells[i].settings)) continue;
    error = find_one(s, input, &results[i], &fingerprint);
    if (error || !fingerprint) continue;
    if (*fingerprint && !has_text(list, fingerprint))
      json_array_append_new(list, json_string(fingerprint));
    free(fingerprint);
  }
  if (error)
    json_decref(list);
  else
    *recorded = list;
  return error;
}

/* ---- new runs and recorded ones ---- */

enum { MOST_NAMED = 8 };

/* Cells whose two runs differ in the same way. */
typedef struct {
  char *what, *then, *now; /* then, now: "" if that run did not record it */
  strbuf labels;
  size_t cells;
} difference;

typedef struct {
  difference *items;
  size_t count;
  bool lacks_runs; /* some cell has no run to compare with */
} differences;

static void free_differences(differences *all) {
  for (size_t i = 0; i < all->count; i++) {
    free(all->items[i].what);
    free(all->items[i].then);
    free(all->items[i].now);
    strbuf_free(&all->items[i].labels);
  }
  free(all->items);
}

static err find_difference(differences *all, const char *what, const char *then, const char *now,
                           difference **found) {
  for (size_t i = 0; i < all->count; i++) {
    *found = &all->items[i];
    if (strcmp((*found)->what, what) == 0 && strcmp((*found)->then, then) == 0 &&
        strcmp((*found)->now, now) == 0)
      return NULL;
  }
  difference *grown = mem_resize(all->items, all->count + 1, sizeof *grown);
  if (!grown) return mem_error(sizeof *grown, "differences");
  all->items = grown;
  *found = &grown[all->count++];
  **found =
      (difference){mem_copy_string(what), mem_copy_string(then), mem_copy_string(now), {0}, 0};
  return (*found)->what && (*found)->then && (*found)->now ? NULL : mem_error(0, "differences");
}

static err compare_digests(differences *all, const char *what, const char *then, const char *now,
                           const char *label) {
  difference *found = NULL;
  if (strcmp(then, now) == 0) return NULL;
  err error = find_difference(all, what, then, now, &found);
  if (error) return error;
  if (found->cells++ < MOST_NAMED)
    strbuf_format(&found->labels, "%s%s", found->labels.length ? ", " : "", label);
  return NULL;
}

static const char *digest_of(const json_t *sets, const char *name) {
  const char *digest = json_string_value(json_object_get(sets, name));
  return digest ? digest : "";
}

/* Set by set: one that only one of the runs recorded cannot be compared. */
static err compare_sets(differences *all, const char *then, const char *now, const char *label) {
  json_t *first = json_loads(*then ? then : "{}", 0, NULL), *digest;
  json_t *again = json_loads(*now ? now : "{}", 0, NULL), *names = json_object();
  const char *name;
  err error = first && again && names ? NULL : mem_error(0, "evaluation sets");
  if (!error) json_object_update(names, first);
  if (!error) json_object_update(names, again);
  json_object_foreach(names, name, digest) {
    strbuf what = {0};
    strbuf_format(&what, "evaluation set %s", name);
    if (!error)
      error = compare_digests(all, strbuf_string(&what), digest_of(first, name),
                              digest_of(again, name), label);
    strbuf_free(&what);
  }
  json_decref(first);
  json_decref(again);
  json_decref(names);
  return error;
}

/* Requests are not compared: paths were mapped to where the files are here. */
static err compare_runs(differences *all, const spec_cell *cell, const store_inputs *then,
                        const store_inputs *now) {
  err error = NULL;
  for (input_kind k = 0; k < INPUT_KINDS && !error; k++) {
    if (!store_input_decides(k)) continue;
    if (k == INPUT_INIT && cell->parent != SPEC_NO_PARENT) continue; /* the other cell's result */
    error = k == INPUT_EVALUATION
                ? compare_sets(all, then->got[k], now->got[k], cell->label)
                : compare_digests(all, store_input_name(k), then->got[k], now->got[k], cell->label);
  }
  return error;
}

/* Where the results of one of two records are. */
typedef struct {
  store *s;
  store_result *results; /* one per cell */
} record_results;

static err compare_cell(const record_results *first, const record_results *again,
                        const spec_experiment *e, size_t i, differences *all) {
  const spec_cell *cell = &e->cells[i];
  store_inputs then, now = {0};
  err error = load(first->s, &first->results[i], &then);
  if (!error) error = load(again->s, &again->results[i], &now);
  bool has_both = then.run_id && now.run_id;
  all->lacks_runs = all->lacks_runs || !has_both;
  if (!error && has_both) error = compare_runs(all, cell, &then, &now);
  store_free_inputs(&then);
  store_free_inputs(&now);
  return error;
}

static void say(const difference *d, strbuf *out) {
  bool is_known = *d->then && *d->now;
  strbuf_format(out, "%s: ", d->what);
  if (is_known)
    strbuf_format(out, "not what the recorded runs read (fingerprint %.10s here, %.10s recorded)",
                  d->now, d->then);
  else
    strbuf_format(out, "cannot be compared, the runs %s have no fingerprint of it",
                  *d->then ? "here" : "in the bundle");
  strbuf_format(out, ", in %zu %s: %s", d->cells, text_plural((int64_t)d->cells, "cell", "cells"),
                strbuf_string(&d->labels));
  if (d->cells > MOST_NAMED) strbuf_format(out, " and %zu more", d->cells - MOST_NAMED);
  strbuf_append_char(out, '\n');
}

/* Files that were others where the bundle was made, after the recorded runs, say nothing once the
 * runs themselves have been compared. */
static void forgive_unrecorded(const differences *all, strbuf *said, localise_match *match) {
  if (!match->unrecorded || all->lacks_runs || match->absent) return;
  for (size_t i = 0; i < all->count; i++)
    if (!*all->items[i].then || !*all->items[i].now) return;
  match->different -= match->unrecorded;
  if (!all->count)
    strbuf_append(said, "all inputs are those that the recorded runs read, though not those found "
                        "where the bundle was made\n");
}

static err open_results(const spec_experiment *e, const char *results, record_results *r) {
  char *path = fs_join(results, "flipbench.db");
  err error = path ? store_open_reading(path, &r->s) : mem_error(0, "a path");
  free(path);
  return error ? error : results_find(e, r->s, &r->results);
}

static void close_results(record_results *r) {
  free(r->results);
  store_close(r->s);
}

err recorded_compare(const spec_experiment *e, const char *first, const char *again, strbuf *said,
                     localise_match *match) {
  record_results then = {0}, now = {0};
  differences all = {0};
  err error = open_results(e, first, &then);
  if (!error) error = open_results(e, again, &now);
  for (size_t i = 0; i < e->cell_count && !error; i++)
    error = compare_cell(&then, &now, e, i, &all);
  if (!error) forgive_unrecorded(&all, said, match);
  for (size_t i = 0; i < all.count && !error; i++) {
    say(&all.items[i], said);
    if (*all.items[i].then && *all.items[i].now)
      match->different++;
    else
      match->unknown++;
  }
  free_differences(&all);
  close_results(&then);
  close_results(&now);
  return error;
}
