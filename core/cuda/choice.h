/* A store of autotuning results, kept in a file between runs and shared by all processes that use
 * the file: tuning takes seconds, and every rank and every later run must choose the same to give
 * the same bits. The first process that needs a choice makes it, and the others wait for it. */
#ifndef FLIP_CUDA_CHOICE_H
#define FLIP_CUDA_CHOICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { CHOICE_KEY_PARTS = 16, CHOICE_VALUE_PARTS = 16 };

/* What the choice is for: shapes, types, modes; unused parts are 0. */
typedef struct {
  int64_t part[CHOICE_KEY_PARTS];
} choice_key;

typedef struct {
  int64_t part[CHOICE_VALUE_PARTS];
} choice_value;

typedef struct choice_store choice_store;

/* `name`: device and library versions, used as the file name in $XDG_CACHE_HOME/flip or
 * ~/.cache/flip. is_stop_wanted: ends a wait for another process; may be NULL. A folder that cannot
 * be written is not an error: choices are then lost when the process ends. */
err choice_store_open(const char *name, bool (*is_stop_wanted)(void),
                      choice_store **out) ERR_MUST_CHECK;
/* Also releases what was claimed. */
void choice_store_close(choice_store *store);
bool choice_store_find(const choice_store *store, const choice_key *key, choice_value *value);
/* To be called before a choice is made, when choice_store_find found none for the key, or one that
 * cannot be used. False: another process has made it meanwhile; find it again. True: this process
 * is to make it, and to call choice_store_add or choice_store_release soon: until then no other
 * process makes any choice, so it must not wait for another one meanwhile (cuda_claim_choice).
 * Where the file system has no locks, or another process has held its own for ten minutes (this one
 * then waits no more), or a stop was requested, all may choose at the same time, and the last to
 * write is kept. */
bool choice_store_claim(choice_store *store, const choice_key *key) ERR_MUST_CHECK;
void choice_store_release(choice_store *store);
/* Replaces an earlier choice for the key, if there is one, in memory and in the file, which keeps
 * what other processes have written; and releases the claim. */
void choice_store_add(choice_store *store, const choice_key *key, const choice_value *value);
/* False when a choice made now will be lost when the process ends; from the first one on that could
 * not be written, too, which is warned of. */
bool choice_store_is_lasting(const choice_store *store);

#endif
