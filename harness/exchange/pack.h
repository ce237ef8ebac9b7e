/* The files of a bundle while it is made: each with its place in the archive, its size and digest.
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
  char *path;  /* where it is here */
  char *place; /* the normalised path that leads to it: relative to the starting folder, or
                  absolute; NULL for a file whose archive name is given */
  char *name;  /* in the archive, below NAME/ */
  char digest[HASH_SIZE];
  uint64_t bytes;
} pack_file;

typedef struct {
  pack_file *files;
  size_t count;
  char **folders; /* places that a path with ".." leads through; they have to exist */
  size_t folder_count;
  int ups; /* the most ".." that any place begins with */
} pack;

void pack_free(pack *p);

/* A file under the name that it has in the archive. */
err pack_add(pack *p, const char *path, const char *name) ERR_MUST_CHECK;
/* A file that is reached as `written` (from the starting folder, or absolute), so that it is
 * reached in the same way where the bundle is unpacked. *place (may be NULL) is its normalised
 * form; the caller frees. Two different files at one place are an ERR_INPUT. */
err pack_add_place(pack *p, const char *path, const char *written, char **place) ERR_MUST_CHECK;
/* A path that will be followed from the starting folder though nothing is packed there. */
void pack_reach(pack *p, const char *written);
/* Gives every file its name: files/… for relative places, where *start (the caller frees) leads
 * from files/ to the starting folder ("" unless some place begins with ".."), and absolute/… for
 * the others. To be called once, when all files are added. */
err pack_finish(pack *p, char **start) ERR_MUST_CHECK;
/* The name of what is at `place`; the caller frees; NULL when memory is short. */
char *pack_name(const char *start, const char *place);

/* Names in an archive are UTF-8 whatever the user's locale: around every use of libarchive. */
locale_t pack_enter_utf8(void);
void pack_leave_utf8(locale_t before);

json_t *pack_files_json(const pack *p);
/* The archive ROOT/… at `out`: texts first ("MANIFEST.json", …), then the files. A file that has
 * grown since it was added is packed as it was; one that has changed is an ERR_IO. */
typedef struct {
  const char *name, *text;
  size_t length;
} pack_text;
err pack_write(const pack *p, const char *root, const char *out, const pack_text *texts,
               size_t text_count) ERR_MUST_CHECK;

#endif
