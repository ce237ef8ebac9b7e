/* The files of a bundle being written: each with its place in the archive, its size and digest.
 * Internal to exchange/. */
#ifndef FLIPBENCH_EXCHANGE_PACK_H
#define FLIPBENCH_EXCHANGE_PACK_H

#include <jansson.h>
#include <locale.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

typedef struct {
  char *path;  /* local path; of a text, what messages call it */
  char *text;  /* the contents of a file that is only in the archive; NULL: those at `path` */
  char *place; /* the normalised path by which it is referred to: relative to the starting folder,
                * or absolute; NULL for a file with an explicit archive name */
  char *name;  /* in the archive, below NAME/ */
  char digest[HASH_SIZE];
  uint64_t bytes;
} pack_file;

typedef struct {
  pack_file *files;
  size_t count;
  char **folders; /* directories that a path with ".." passes through; they must exist */
  size_t folder_count;
  int ups; /* the maximum number of leading ".." of any place */
} pack;

void pack_free(pack *p);

/* Adds a file under an explicit archive name. */
err pack_add(pack *p, const char *path, const char *name) ERR_MUST_CHECK;
/* Adds a file with these contents under an explicit archive name. */
err pack_add_text(pack *p, const char *text, const char *name) ERR_MUST_CHECK;
/* Adds a file referred to as `written` (relative to the starting folder, or absolute), so that the
 * same path works where the bundle is unpacked. *place (may be NULL) is its normalised form; the
 * caller frees. Two different files at one place are an ERR_INPUT. */
err pack_add_place(pack *p, const char *path, const char *written, char **place) ERR_MUST_CHECK;
/* Adds a path that will be followed from the starting folder although nothing is packed there. */
void pack_reach(pack *p, const char *written);
/* Assigns archive names to all files: files/… for relative places, where *start (the caller frees)
 * leads from files/ to the starting folder ("" unless some place begins with ".."), and absolute/…
 * for the others. Call once, after all files have been added. */
err pack_finish(pack *p, char **start) ERR_MUST_CHECK;
/* The archive name of the file at `place`; the caller frees; NULL when out of memory. */
char *pack_name(const char *start, const char *place);

/* Names in an archive are UTF-8 whatever the user's locale: around every use of libarchive. */
locale_t pack_enter_utf8(void);
void pack_leave_utf8(locale_t before);

/* Why libarchive could not write the file; `otherwise`: where it does not say. */
struct archive;
err pack_archive_error(struct archive *a, const char *path, const char *otherwise) ERR_MUST_CHECK;

json_t *pack_files_json(const pack *p);
/* Writes the archive ROOT/… to `out`: texts first ("MANIFEST.json", …), then the files. A file that
 * has grown since it was added is packed at its earlier size; one that has changed is an ERR_IO. */
typedef struct {
  const char *name, *text;
  size_t length;
} pack_text;
err pack_write(const pack *p, const char *root, const char *out, const pack_text *texts,
               size_t text_count) ERR_MUST_CHECK;

#endif
