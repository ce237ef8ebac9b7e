/* The inputs that determine a run's result: data, vocabulary, evaluation sets, the checkpoint that
 * it started from, the program, the machine. They are part of the meaning of a number: runs with
 * the same settings and different inputs must not be mixed silently.
 *
 * Two runs differ in kind K if their settings request the same of K (the same data.train, say) and
 * they got different inputs (other bytes in those files). Evaluation sets also differ between runs
 * that request different lists of sets, if a set of both, by its name, does. An input that a run
 * did not record (an event stream of version 1) is not considered different. */
#ifndef FLIPBENCH_STORE_INPUTS_H
#define FLIPBENCH_STORE_INPUTS_H

#include <jansson.h>

#include "store/store.h"

typedef enum {
  INPUT_DATA,
  INPUT_VOCABULARY,
  INPUT_EVALUATION,
  INPUT_INIT,
  INPUT_PROGRAM,
  INPUT_MACHINE,
  INPUT_PRECISION,
  INPUT_THREADS,
  INPUT_RANKS,
  INPUT_KINDS
} input_kind;

typedef struct {
  int64_t run_id;
  char *started;            /* time stamp; "": not recorded; never NULL */
  char *asked[INPUT_KINDS]; /* the settings that request it; never NULL */
  char *got[INPUT_KINDS];   /* its digest or name; "": not recorded; never NULL */
  int64_t data_samples;     /* 0: not recorded */
} store_inputs;

enum { INPUT_WORDS_SIZE = 72 };
/* What a start event records for INPUT_VOCABULARY: the vocabulary's digest, followed by "+" and
 * that of the lexicon if text masking used one; "" if not recorded. */
void store_vocabulary_input(const json_t *start, char words[INPUT_WORDS_SIZE]);

/* "training data", "evaluation sets", "program", … */
const char *store_input_name(input_kind kind);
/* True when runs that differ in it measure different things, so that a table must not mix them: the
 * data, the vocabulary, the evaluation sets, the initial weights. Differences in program and
 * machine are allowed and reported. */
bool store_input_decides(input_kind kind);

/* The inputs of the newest process of a run; program, machine, threads and ranks of all: "2, then
 * 1". ERR_INPUT when there is no such run. Free with store_free_inputs. */
err store_load_inputs(store *s, int64_t run_id, store_inputs *given) ERR_MUST_CHECK;
void store_free_inputs(store_inputs *given);
bool store_inputs_differ(const store_inputs *a, const store_inputs *b, input_kind kind);

/* Which of these runs differ in `kind`. groups[i]: 0 for runs with the same input as the newest run
 * (the one that started last) with the same settings (or without a recorded one), and for each
 * evaluation set as the newest run that has it; else 1, 2, … for each other input. *is_mixed: some
 * group is not 0. */
err store_group_inputs(store *s, const int64_t *run_ids, size_t count, input_kind kind,
                       size_t *groups, bool *is_mixed) ERR_MUST_CHECK;

/* One sentence per line for each difference of `now` from `then`: "training data: was 1a2b…, is
 * 3c4d…". */
void store_describe_differences(const store_inputs *then, const store_inputs *now, strbuf *lines);

#endif
