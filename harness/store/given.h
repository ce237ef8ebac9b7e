/* The inputs that decide a run's result: data, vocabulary, evaluation sets, the
 * checkpoint that it started from, the program, the machine. It is part of what a number means:
 * runs with the same settings and different inputs must not be mixed silently.
 *
 * A difference is one of kind K between two runs whose settings ask for the same of K (the same
 * data.train, say) and that were given something else (other bytes in those files). What a run did
 * not say (an event stream of version 1) differs from nothing. */
#ifndef FLIPBENCH_STORE_GIVEN_H
#define FLIPBENCH_STORE_GIVEN_H

#include <jansson.h>

#include "store/store.h"

typedef enum {
  GIVEN_DATA,
  GIVEN_VOCABULARY,
  GIVEN_EVALUATION,
  GIVEN_INIT,
  GIVEN_PROGRAM,
  GIVEN_MACHINE,
  GIVEN_PRECISION,
  GIVEN_THREADS,
  GIVEN_RANKS,
  GIVEN_KINDS
} given_kind;

typedef struct {
  int64_t run_id;
  char *asked[GIVEN_KINDS]; /* the settings that ask for it; never NULL */
  char *got[GIVEN_KINDS];   /* its digest or name; "": the run did not say; never NULL */
  int64_t data_samples;     /* 0: not said */
} store_given;

enum { GIVEN_WORDS_SIZE = 72 };
/* What a start event names for GIVEN_VOCABULARY: the vocabulary's digest, with "+" and that of the
 * lexicon behind it where text masking used one; "" when it names none. */
void store_words_given(const json_t *start, char words[GIVEN_WORDS_SIZE]);

/* "training data", "evaluation sets", "program", … */
const char *store_given_name(given_kind kind);
/* True when runs that differ in it measure different things, so that a table must not mix them: the
 * data, the vocabulary, the evaluation sets, the weights started from. Programs and machines may
 * differ; that is reported. */
bool store_given_decides(given_kind kind);

/* Of the newest process of a run. ERR_INPUT when there is no such run. The caller's:
 * store_free_given. */
err store_load_given(store *s, int64_t run_id, store_given *given) ERR_MUST_CHECK;
void store_free_given(store_given *given);
bool store_given_differs(const store_given *a, const store_given *b, given_kind kind);

/* Which of these runs differ in `kind`. groups[i]: 0 for runs that were given what the newest run
 * with the same settings was given (or did not say), else 1, 2, … one for each other thing that was
 * given. *is_mixed: some group is not 0. */
err store_group_given(store *s, const int64_t *run_ids, size_t count, given_kind kind,
                      size_t *groups, bool *is_mixed) ERR_MUST_CHECK;

/* A sentence a line for what `now` differs from `then` in: "training data: was 1a2b…, is 3c4d…". */
void store_describe_differences(const store_given *then, const store_given *now, strbuf *lines);

#endif
