#include "base/hash.h"

#include <errno.h>
#include <stdio.h>

#include <xxhash.h>

struct hash_state {
  char unused; /* an opaque XXH3_state_t, so that users need no xxhash.h */
};

static void write_digest(XXH128_hash_t hash, char digest[HASH_SIZE]) {
  snprintf(digest, HASH_SIZE, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
}

void hash_bytes(const void *data, size_t length, char digest[HASH_SIZE]) {
  write_digest(XXH3_128bits(data, length), digest);
}

hash_state *hash_begin(void) {
  XXH3_state_t *state = XXH3_createState();
  if (state) XXH3_128bits_reset(state);
  return (hash_state *)(void *)state;
}

void hash_add(hash_state *state, const void *data, size_t length) {
  XXH3_128bits_update((XXH3_state_t *)(void *)state, data, length);
}

void hash_finish(hash_state *state, char digest[HASH_SIZE]) {
  write_digest(XXH3_128bits_digest((XXH3_state_t *)(void *)state), digest);
  XXH3_freeState((XXH3_state_t *)(void *)state);
}

err hash_file(const char *path, char digest[HASH_SIZE]) {
  FILE *file = fopen(path, "rbe");
  if (!file) return err_errno(errno, "%s: cannot open", path);
  hash_state *state = hash_begin();
  if (!state) {
    fclose(file);
    return err_new(ERR_MEMORY, "out of memory: hashing %s", path);
  }
  char block[65536];
  size_t got;
  while ((got = fread(block, 1, sizeof block, file)) > 0) hash_add(state, block, got);
  int failed = ferror(file), code = errno;
  fclose(file);
  hash_finish(state, digest);
  return failed ? err_errno(code, "%s: cannot read", path) : NULL;
}
