#include "store/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/sql.h"

static const struct {
  const char *name;
  bool decides;
} kinds[INPUT_KINDS] = {
    [INPUT_DATA] = {"training data", true},         [INPUT_VOCABULARY] = {"vocabulary", true},
    [INPUT_EVALUATION] = {"evaluation sets", true}, [INPUT_INIT] = {"initial weights", true},
    [INPUT_PROGRAM] = {"program", false},           [INPUT_MACHINE] = {"machine", false},
    [INPUT_PRECISION] = {"precision", false},       [INPUT_THREADS] = {"threads", false},
    [INPUT_RANKS] = {"number of ranks", false}};

const char *store_input_name(input_kind kind) {
  return kinds[kind].name;
}

bool store_input_decides(input_kind kind) {
  return kinds[kind].decides;
}

void store_free_inputs(store_inputs *given) {
  for (int k = 0; k < INPUT_KINDS; k++) {
    free(given->asked[k]);
    free(given->got[k]);
  }
  free(given->started);
  *given = (store_inputs){0};
}

void store_vocabulary_input(const json_t *start, char words[INPUT_WORDS_SIZE]) {
  const char *vocabulary = json_string_value(json_object_get(start, "vocabulary_fingerprint"));
  const char *lexicon = json_string_value(json_object_get(start, "lexicon_fingerprint"));
  snprintf(words, INPUT_WORDS_SIZE, "%s%s%s", vocabulary ? vocabulary : "", lexicon ? "+" : "",
           lexicon ? lexicon : "");
}

/* Two columns per kind, in the order of input_kind: requested, actual. A classifier is trained on a
 * labelled set instead of pairs, and reads evaluation sets as labelled images, too; a run with a
 * linear probe counts its set among them. */
static const char inputs_sql[] =
    "WITH of_run AS (" /* the processes of which some step was kept, and where they ran */
    "  SELECT number, host, threads,"
    "   substr(commit_id, 1, 10) || CASE WHEN dirty = '' THEN '' ELSE"
    "    '+' || substr(dirty, 1, 8) END AS program,"
    "   host || ' (' || coalesce(nullif(device_name, ''), cpu) || CASE device WHEN 'cpu' THEN"
    "    coalesce(', kernels ' || json_extract(libraries, '$.cpu_kernels'), '') ELSE '' END || ')'"
    "   AS machine"
    "  FROM run LEFT JOIN process ON process.run_id = run.id AND first_step <"
    "   coalesce((SELECT min(first_step) FROM process AS later WHERE later.run_id = run.id"
    "    AND later.number > process.number), 9e18)"
    "  JOIN environment ON environment.id = coalesce(process.environment_id, run.environment_id)"
    "  WHERE run.id = ?1)"
    " SELECT CASE WHEN coalesce(json_extract(settings, '$.\"classification.classes\"'), 0) > 0 THEN"
    "  'classification: ' || coalesce(json_extract(settings, '$.\"classification.train\"'), '') "
    "ELSE"
    "  coalesce(json_extract(settings, '$.\"data.train\"'), '') END,"
    "  coalesce(nullif(process.data_fingerprint, ''), run.data_fingerprint),"
    " coalesce(json_extract(settings, '$.\"text.vocabulary\"'), '') ||"
    "  CASE json_extract(settings, '$.text_mask_mode') WHEN 'syntax' THEN"
    "  '+' || coalesce(json_extract(settings, '$.text_mask_lexicon'), '') ELSE '' END,"
    "  coalesce(vocabulary_fingerprint, ''),"
    " coalesce(json_extract(settings, '$.\"eval.sets\"'), '') ||"
    "  CASE WHEN coalesce(json_extract(settings, '$.\"classification.classes\"'), 0) > 0 THEN"
    "  '+classification' WHEN coalesce(json_extract(settings, '$.\"eval.probe_train\"'), '') <> ''"
    "  THEN '+' || json_extract(settings, '$.\"eval.probe_train\"') ELSE '' END,"
    "  CASE WHEN evaluation_fingerprints IN ('{}', 'null') THEN '' ELSE"
    "  coalesce(evaluation_fingerprints, '') END,"
    " coalesce(cell.parent, json_extract(settings, '$.init_from'), ''),"
    "  coalesce(init_fingerprint, ''),"
    " '', coalesce((SELECT group_concat(program, ', then ') FROM"
    "  (SELECT program, min(number) AS first FROM of_run GROUP BY program ORDER BY first)), ''),"
    " '', coalesce((SELECT group_concat(machine, ', then ') FROM"
    "  (SELECT machine, min(number) AS first FROM of_run GROUP BY machine ORDER BY first)) ||"
    "  coalesce((SELECT ' and ' || group_concat(other, ', ') FROM (SELECT DISTINCT"
    "   json_extract(value, '$.host') AS other FROM attempt, json_each(rank_records)"
    "   WHERE attempt.run_id = run.id AND other NOT IN (SELECT host FROM of_run)"
    "   ORDER BY other)), ''), ''),"
    " coalesce(json_extract(settings, '$.precision'), ''), coalesce(precision, ''),"
    " coalesce(json_extract(settings, '$.threads'), ''), "
    "  coalesce((SELECT group_concat(threads, ', then ') FROM"
    "  (SELECT threads, min(number) AS first FROM of_run GROUP BY threads ORDER BY first)), ''),"
    " coalesce(cell.ranks, ''), coalesce((SELECT group_concat(ranks, ', then ') FROM"
    "  (SELECT ranks, min(number) AS first FROM process AS all_of WHERE all_of.run_id = run.id"
    "   GROUP BY ranks ORDER BY first)), ''),"
    " coalesce(data_samples, 0), run.started"
    " FROM run JOIN cell ON cell.id = run.cell_id"
    " LEFT JOIN environment ON environment.id = run.environment_id"
    " LEFT JOIN process ON process.run_id = run.id AND process.number ="
    "  (SELECT max(number) FROM process AS newest WHERE newest.run_id = run.id)"
    " WHERE run.id = ?1";

err store_load_inputs(store *s, int64_t run_id, store_inputs *given) {
  sqlite3_stmt *rows;
  bool has_row;
  *given = (store_inputs){.run_id = run_id};
  err error = sql_query(s, &rows, inputs_sql, "i", run_id);
  if (!error) error = sql_next(s, rows, &has_row);
  if (error) return error;
  if (!has_row) return err_new(ERR_INPUT, "no such run: %lld", (long long)run_id);
  for (int k = 0; k < INPUT_KINDS; k++) {
    given->asked[k] = mem_copy_string(sql_text(rows, 2 * k));
    given->got[k] = mem_copy_string(sql_text(rows, 2 * k + 1));
    if (!given->asked[k] || !given->got[k]) error = mem_error(0, "a run's inputs");
  }
  given->data_samples = sqlite3_column_int64(rows, 2 * INPUT_KINDS);
  given->started = mem_copy_string(sql_text(rows, 2 * INPUT_KINDS + 1));
  if (!given->started) error = mem_error(0, "a run's inputs");
  sql_stop(rows);
  if (error) store_free_inputs(given);
  return error;
}

/* A classifier reads of a set the images and their classes only: its digests are others. */
static bool is_of_classifier(const store_inputs *given) {
  static const char mark[] = "+classification";
  const char *asked = given->asked[INPUT_EVALUATION];
  size_t length = strlen(asked), own = sizeof mark - 1;
  return length >= own && strcmp(asked + length - own, mark) == 0;
}

/* Does a set that both have, by its name, differ? `a` and `b` map names to digests. */
static bool do_sets_differ(json_t *a, json_t *b) {
  const char *name;
  json_t *digest;
  json_object_foreach(a, name, digest) {
    const json_t *other = json_object_get(b, name);
    if (other && !json_equal(digest, other)) return true;
  }
  return false;
}

static bool is_same_request(const store_inputs *a, const store_inputs *b, input_kind kind) {
  return strcmp(a->asked[kind], b->asked[kind]) == 0;
}

/* a_sets, b_sets: got[INPUT_EVALUATION] as an object; not used for other kinds, and the same
 * request. */
static bool inputs_differ(const store_inputs *a, json_t *a_sets, const store_inputs *b,
                          json_t *b_sets, input_kind kind) {
  if (!*a->got[kind] || !*b->got[kind] || strcmp(a->got[kind], b->got[kind]) == 0) return false;
  if (is_same_request(a, b, kind)) return true;
  return kind == INPUT_EVALUATION && is_of_classifier(a) == is_of_classifier(b) &&
         do_sets_differ(a_sets, b_sets);
}

/* NULL for other kinds, and where none were recorded. */
static json_t *read_sets(const store_inputs *given, input_kind kind) {
  return kind == INPUT_EVALUATION ? json_loads(given->got[kind], 0, NULL) : NULL;
}

bool store_inputs_differ(const store_inputs *a, const store_inputs *b, input_kind kind) {
  json_t *a_sets = read_sets(a, kind), *b_sets = read_sets(b, kind);
  bool differ = inputs_differ(a, a_sets, b, b_sets, kind);
  json_decref(a_sets);
  json_decref(b_sets);
  return differ;
}

/* Ids are in the order of recording: in a merged record not that of the runs. */
static bool is_newer(const store_inputs *a, const store_inputs *b) {
  int order = strcmp(a->started, b->started);
  return order > 0 || (order == 0 && a->run_id > b->run_id);
}

/* Runs and their evaluation sets, while these are grouped. */
typedef struct {
  store_inputs *runs;
  json_t **sets;      /* of each run; NULL: none, or another kind is grouped */
  json_t *newest[2];  /* the digest of each set's newest run: of others, of classifiers */
  json_t *of_request; /* request: the index of its newest run with a recorded input */
  size_t count;
} grouped;

static void free_grouped(grouped *all) {
  for (size_t i = 0; i < all->count; i++) {
    store_free_inputs(&all->runs[i]);
    json_decref(all->sets[i]);
  }
  json_decref(all->newest[0]);
  json_decref(all->newest[1]);
  json_decref(all->of_request);
  free(all->runs);
  free(all->sets);
}

static err find_newest_of_requests(grouped *all, input_kind kind) {
  int failed = 0;
  all->of_request = json_object();
  for (size_t i = 0; i < all->count; i++) {
    const store_inputs *own = &all->runs[i];
    if (!*own->got[kind]) continue;
    const json_t *before = json_object_get(all->of_request, own->asked[kind]);
    if (before && !is_newer(own, &all->runs[json_integer_value(before)])) continue;
    failed |=
        json_object_set_new_nocheck(all->of_request, own->asked[kind], json_integer((json_int_t)i));
  }
  return failed || !all->of_request ? mem_error(0, "the runs' inputs") : NULL;
}

/* The newest of the runs with the same request and a recorded input. */
static const store_inputs *newest_alike(const grouped *all, size_t index, input_kind kind) {
  const store_inputs *own = &all->runs[index];
  const json_t *found = json_object_get(all->of_request, own->asked[kind]);
  const store_inputs *newest = found ? &all->runs[json_integer_value(found)] : own;
  return is_newer(newest, own) ? newest : own;
}

/* Which run of each set is the newest, and its digest. */
static err find_newest_sets(grouped *all) {
  int failed = 0;
  for (int k = 0; k < 2; k++) {
    json_t *of_run = json_object(); /* set to the index of its newest run */
    all->newest[k] = json_object();
    for (size_t i = 0; i < all->count; i++) {
      const char *name;
      json_t *digest;
      if (is_of_classifier(&all->runs[i]) != (k == 1)) continue;
      json_object_foreach(all->sets[i], name, digest) {
        const json_t *before = json_object_get(of_run, name);
        if (before && !is_newer(&all->runs[i], &all->runs[json_integer_value(before)])) continue;
        failed |= json_object_set_new(of_run, name, json_integer((json_int_t)i));
        failed |= json_object_set(all->newest[k], name, digest);
      }
    }
    failed |= !of_run || !all->newest[k];
    json_decref(of_run);
  }
  return failed ? mem_error(0, "the runs' inputs") : NULL;
}

static err load_grouped(store *s, const int64_t *run_ids, size_t count, input_kind kind,
                        grouped *all) {
  *all = (grouped){.runs = mem_zeroed(count + 1, sizeof *all->runs),
                   .sets = mem_zeroed(count + 1, sizeof(json_t *))};
  if (!all->runs || !all->sets) return mem_error(count * sizeof *all->runs, "the runs' inputs");
  for (; all->count < count; all->count++) {
    err error = store_load_inputs(s, run_ids[all->count], &all->runs[all->count]);
    if (error) return error;
    all->sets[all->count] = read_sets(&all->runs[all->count], kind);
  }
  err error = find_newest_of_requests(all, kind);
  return !error && kind == INPUT_EVALUATION ? find_newest_sets(all) : error;
}

static bool is_outdated(const grouped *all, size_t index, input_kind kind) {
  const store_inputs *own = &all->runs[index];
  return inputs_differ(own, NULL, newest_alike(all, index, kind), NULL, kind) ||
         do_sets_differ(all->sets[index], all->newest[is_of_classifier(own)]);
}

/* May the run be in a group: among the runs before it, has it the inputs of all that are? */
static bool fits(const grouped *all, const size_t *groups, size_t group, size_t index,
                 input_kind kind) {
  for (size_t k = 0; k < index; k++) {
    if (groups[k] != group) continue;
    if (kind != INPUT_EVALUATION) /* all in a group have the same one */
      return strcmp(all->runs[k].got[kind], all->runs[index].got[kind]) == 0;
    if (inputs_differ(&all->runs[k], all->sets[k], &all->runs[index], all->sets[index], kind))
      return false;
  }
  return true;
}

err store_group_inputs(store *s, const int64_t *run_ids, size_t count, input_kind kind,
                       size_t *groups, bool *is_mixed) {
  size_t group_count = 0;
  grouped all;
  *is_mixed = false;
  err error = load_grouped(s, run_ids, count, kind, &all);
  for (size_t i = 0; i < count && !error; i++) {
    groups[i] = 0;
    if (!is_outdated(&all, i, kind)) continue;
    for (groups[i] = 1; groups[i] <= group_count; groups[i]++)
      if (fits(&all, groups, groups[i], i, kind)) break;
    if (groups[i] > group_count) group_count = groups[i];
    *is_mixed = true;
  }
  free_grouped(&all);
  return error;
}

/* Digests are shortened; anything else is printed whole. */
static int shown_length(input_kind kind) {
  enum { DIGITS = 10, WHOLE = 1000 };
  return kind == INPUT_DATA || kind == INPUT_VOCABULARY || kind == INPUT_INIT ? DIGITS : WHOLE;
}

void store_describe_differences(const store_inputs *then, const store_inputs *now, strbuf *lines) {
  for (input_kind k = 0; k < INPUT_KINDS; k++) {
    if (!store_inputs_differ(then, now, k)) continue;
    int length = shown_length(k);
    strbuf_format(lines, "%s: was %.*s, is %.*s", kinds[k].name, length, then->got[k], length,
                  now->got[k]);
    if (k == INPUT_DATA && then->data_samples != now->data_samples && then->data_samples &&
        now->data_samples)
      strbuf_format(lines, " (%lld samples, now %lld)", (long long)then->data_samples,
                    (long long)now->data_samples);
    strbuf_append_char(lines, '\n');
  }
}
