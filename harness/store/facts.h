/* Named values of runs: numbers, settings, and the differences between two runs. */
#ifndef FLIPBENCH_STORE_FACTS_H
#define FLIPBENCH_STORE_FACTS_H

#include "base/clock.h"
#include "store/store.h"

typedef enum { STORE_NOTHING, STORE_INTEGER, STORE_REAL, STORE_TEXT, STORE_JSON } store_value_kind;
typedef struct {
  store_value_kind kind;
  int64_t integer; /* of STORE_INTEGER, else 0 */
  double real;     /* of numbers; NaN: not a number */
  char *text;      /* the value as text, "" for none; owned */
} store_value;

typedef struct {
  char *name; /* owned */
  store_value value;
} store_fact;
void store_free_facts(store_fact *facts, size_t count);

/* The numbers of a run (docs/schema.md), all STORE_REAL, by name. */
err store_list_numbers(store *s, int64_t run_id, store_fact **numbers,
                       size_t *count) ERR_MUST_CHECK;
/* One number by name; NaN: not recorded. */
err store_find_number(store *s, int64_t run_id, const char *name, double *value) ERR_MUST_CHECK;
/* The share of the training time that a disturbed run lost to other processes; NaN if it was not
 * disturbed, or if its rows contain no evidence. */
err store_find_lost_share(store *s, int64_t run_id, double *share) ERR_MUST_CHECK;

/* The time of the last event in the record of a run (0: of all runs), if it is later than `stamp`,
 * which is "" at first. */
err store_find_last_event(store *s, int64_t run_id, char stamp[CLOCK_STAMP_SIZE]) ERR_MUST_CHECK;

/* One setting of a run, as it had it; NULL: not recorded. The caller frees. */
err store_find_setting(store *s, int64_t run_id, const char *key, char **value) ERR_MUST_CHECK;
/* Every setting of a run; booleans are the strings true and false, lists STORE_JSON. */
err store_list_settings(store *s, int64_t run_id, store_fact **settings,
                        size_t *count) ERR_MUST_CHECK;

typedef enum {
  STORE_PART_SETTINGS,
  STORE_PART_CODE,
  STORE_PART_MACHINE,
  STORE_PART_DATA,
  STORE_PART_RUN, /* status and numbers */
  STORE_PART_EVALUATION,
  STORE_PARTS
} store_part;
typedef struct {
  store_part part;
  char *name;                /* owned */
  store_value first, second; /* STORE_NOTHING: that run does not have it */
} store_difference;
/* The differences between two runs, by part and name. Free with store_free_differences. */
err store_compare_runs(store *s, int64_t first, int64_t second, store_difference **differences,
                       size_t *count) ERR_MUST_CHECK;
void store_free_differences(store_difference *differences, size_t count);

#endif
