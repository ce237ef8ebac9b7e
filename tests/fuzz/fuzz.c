#include "fuzz/fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"

void fuzz_require(int is_kept, const char *promise) {
  if (is_kept) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  abort();
}

void fuzz_expect_ok(err error) {
  if (error) fuzz_require(0, err_message(error));
}

char *fuzz_text(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  fuzz_require(text != NULL, "memory for an input");
  if (size) memcpy(text, data, size);
  text[size] = '\0';
  return text;
}

fuzz_file fuzz_file_make(const void *bytes, size_t size) {
  fuzz_file file = {.fd = memfd_create("input", MFD_CLOEXEC)};
  fuzz_require(file.fd >= 0, "a file in memory");
  snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.fd);
  fuzz_expect_ok(fs_write_all(file.fd, bytes, size, file.path));
  return file;
}

void fuzz_file_free(fuzz_file *file) {
  close(file->fd);
}

fuzz_halves fuzz_cut(const uint8_t *data, size_t size) {
  const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
  size_t first = nul ? (size_t)(nul - data) : size, skipped = nul ? first + 1 : size;
  return (fuzz_halves){data, data + skipped, first, size - skipped};
}

void fuzz_write(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  fuzz_require(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0,
               "a file to write");
}

static char folder[] = "/tmp/flip-fuzz.XXXXXX";

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at) {
  (void)status;
  (void)kind;
  (void)at;
  return remove(path);
}

void fuzz_remove(const char *path) {
  nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_folder(void) {
  fuzz_remove(folder);
}

const char *fuzz_folder(void) {
  static int is_made = 0;
  if (!is_made) {
    fuzz_require(mkdtemp(folder) != NULL && chdir(folder) == 0, "a scratch folder");
    atexit(remove_folder);
    is_made = 1;
  }
  return folder;
}
