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
    "   host || ' (' || coalesce(nullif(device_name, ''), cpu) || ')' AS machine"
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

bool store_inputs_differ(const store_inputs *a, const store_inputs *b, input_kind kind) {
  return *a->got[kind] && *b->got[kind] && strcmp(a->asked[kind], b->asked[kind]) == 0 &&
         strcmp(a->got[kind], b->got[kind]) != 0;
}

/* Ids are in the order of recording: in a merged record not that of the runs. */
static bool is_newer(const store_inputs *a, const store_inputs *b) {
  int order = strcmp(a->started, b->started);
  return order > 0 || (order == 0 && a->run_id > b->run_id);
}

/* The newest of the runs with the same request and a recorded input. */
static const store_inputs *newest_alike(const store_inputs *all, size_t count, size_t index,
                                        input_kind kind) {
  const store_inputs *newest = &all[index];
  for (size_t i = 0; i < count; i++)
    if (*all[i].got[kind] && is_newer(&all[i], newest) &&
        strcmp(all[i].asked[kind], all[index].asked[kind]) == 0)
      newest = &all[i];
  return newest;
}

err store_group_inputs(store *s, const int64_t *run_ids, size_t count, input_kind kind,
                       size_t *groups, bool *is_mixed) {
  err error = NULL;
  size_t loaded = 0, group_count = 0;
  store_inputs *all = mem_zeroed(count + 1, sizeof *all);
  *is_mixed = false;
  if (!all) return mem_error(count * sizeof *all, "the runs' inputs");
  for (; loaded < count; loaded++) TRY(store_load_inputs(s, run_ids[loaded], &all[loaded]));
  for (size_t i = 0; i < count; i++) {
    groups[i] = 0;
    if (!store_inputs_differ(&all[i], newest_alike(all, count, i, kind), kind)) continue;
    for (size_t k = 0; k < i && !groups[i]; k++)
      if (groups[k] && strcmp(all[k].got[kind], all[i].got[kind]) == 0) groups[i] = groups[k];
    if (!groups[i]) groups[i] = ++group_count;
    *is_mixed = true;
  }
cleanup:
  for (size_t i = 0; i < loaded; i++) store_free_inputs(&all[i]);
  free(all);
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
