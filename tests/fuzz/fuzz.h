/* Shared by the fuzz targets: each feeds bytes from outside to one reader of ours and checks what
 * the reader promises. An error is as good an answer as any; a crash, a leak, a hang or a broken
 * promise is not. docs/architecture.md tells how they are run. */
#ifndef FLIP_FUZZ_H
#define FLIP_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* What each target is; called with one input at a time. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy that ends where the input ends, with a NUL behind it, so that the sanitizers see a read
 * beyond. The caller frees. */
char *fuzz_text(const uint8_t *data, size_t size);

/* A file of these bytes that only has a path under /proc. */
typedef struct {
  int fd;
  char path[32];
} fuzz_file;
fuzz_file fuzz_file_make(const void *bytes, size_t size);
void fuzz_file_free(fuzz_file *file);

/* The input up to the first NUL, and what follows it. */
typedef struct {
  const uint8_t *first, *second;
  size_t first_size, second_size;
} fuzz_halves;
fuzz_halves fuzz_cut(const uint8_t *data, size_t size);

/* An empty folder of this process, the current one from then on; made at the first call and
 * removed at the end. */
const char *fuzz_folder(void);

/* A file in the current folder, as it is: not on its way to the disk. */
void fuzz_write(const char *path, const void *bytes, size_t size);

/* A folder and what is in it, if it is there. */
void fuzz_remove(const char *path);

/* Ends the process, so that the input is kept as a finding. */
void fuzz_require(int is_kept, const char *promise);
/* For set-up that cannot fail. */
void fuzz_expect_ok(err error);

#endif
