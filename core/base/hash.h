/* Fingerprints: XXH3-128 (xxHash) as 32 hexadecimal digits. For identity, not for security. */
#ifndef FLIP_BASE_HASH_H
#define FLIP_BASE_HASH_H

#include <stddef.h>

#include "base/err.h"

enum { HASH_SIZE = 33 }; /* 32 digits and the NUL */

void hash_bytes(const void *data, size_t length, char digest[HASH_SIZE]);

/* For data that arrives in pieces. */
typedef struct hash_state hash_state;
hash_state *hash_begin(void); /* NULL when out of memory */
void hash_add(hash_state *state, const void *data, size_t length);
void hash_finish(hash_state *state, char digest[HASH_SIZE]); /* frees the state */

err hash_file(const char *path, char digest[HASH_SIZE]) ERR_MUST_CHECK;

#endif
