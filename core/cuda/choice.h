/* A store of autotuning results, kept in a file between runs: tuning takes seconds, and a second
 * run must choose the same to give the same bits. */
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
 * ~/.cache/flip. A folder that cannot be written is not an error: choices are then lost when the
 * process ends. */
err choice_store_open(const char *name, choice_store **out) ERR_MUST_CHECK;
/* Writes new entries, merged with those written by other processes in the meantime, and frees. */
void choice_store_close(choice_store *store);
bool choice_store_find(const choice_store *store, const choice_key *key, choice_value *value);
/* Replaces an earlier choice for the key, if there is one, in memory and in the file, which is
 * written at most once a second: a killed process loses the choices of a second. */
void choice_store_add(choice_store *store, const choice_key *key, const choice_value *value);
/* False when a choice made now will be lost when the process ends. */
bool choice_store_is_lasting(const choice_store *store);

#endif
