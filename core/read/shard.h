/* WebDataset shards: tar files whose members group into samples by key, as img2dataset writes them
 * (KEY.jpg, KEY.txt, KEY.json). Read in place through a mapping; nothing is unpacked. */
#ifndef FLIP_READ_SHARD_H
#define FLIP_READ_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "read/left_out.h"

/* A part of the mapping. */
typedef struct {
  const char *data;
  size_t size;
} shard_bytes;

typedef enum { SHARD_IMAGE, SHARD_CAPTION, SHARD_JSON, SHARD_MEMBERS } shard_member;

/* One sample: neighbouring members that share a key, the path up to the first dot of its last part,
 * as the webdataset library has it: `a.b/c.d.jpg` is member `d.jpg` of `a.b/c`, and no image.
 * Letter case of extensions does not matter. Large data sets have hundreds of millions of these, so
 * nothing that the tar itself contains is stored: only where the members lie, in its blocks of 512
 * bytes (0: there is no such member), and how long they are. */
typedef struct {
  uint32_t block[SHARD_MEMBERS], size[SHARD_MEMBERS];
} shard_sample;

/* A key that is not in the header of a sample's first member: a long name. */
typedef struct {
  size_t sample;
  char *key;
} shard_odd_key;

typedef struct {
  char *path;
  const char *map;
  size_t size;
  shard_sample *samples;
  size_t count;
  shard_odd_key *odd_keys; /* ascending by sample */
  size_t odd_count;
} shard;

enum { SHARD_SUFFIXES = 12, SHARD_SUFFIX = 24 };

/* Findings of indexing, over any number of shards. Start from {0}. */
typedef struct {
  strbuf warnings;    /* damage, shards without samples, duplicate members: a line each */
  left_out_list lost; /* keys none of whose members is read */
  /* members skipped: images besides the preferred one; without a key; links; with suffixes beyond
   * the table */
  int64_t spare_images, unnamed, links, others;
  struct {
    char suffix[SHARD_SUFFIX];
    int64_t count;
  } passed[SHARD_SUFFIXES]; /* members skipped, by suffix */
} shard_notes;

/* Appends one line that counts the skipped members; nothing when there are none. */
void shard_notes_summary(const shard_notes *notes, const char *name, strbuf *out);
/* Adds what `from` counts and says to `to`. */
void shard_notes_add(shard_notes *to, const shard_notes *from);
void shard_notes_free(shard_notes *notes);

/* Maps and indexes one tar (GNU, ustar or pax; not compressed). Of several images of a sample the
 * one whose suffix comes first in jpg, png, jpeg, webp is taken, as open_clip does; a suffix that a
 * sample has already, be it one that is not read, begins a new sample, as there. A truncated file
 * gives its whole samples and a warning, as does an unreadable header in the middle, a missing
 * end-of-archive mark, and more than padding after that mark. */
err shard_open(const char *path, shard *s, shard_notes *notes) ERR_MUST_CHECK;
/* The same under another name than the path's, in all messages. */
err shard_open_as(const char *path, const char *name, shard *s, shard_notes *notes) ERR_MUST_CHECK;
/* An error that identifies, by its first bytes, a file that is mistaken for a tar: a compressed
 * one, a zip archive, an HTML page, … */
err shard_refuse_other_files(const char *path, const char *head, size_t size) ERR_MUST_CHECK;
void shard_close(shard *s);

/* A member of sample i; data NULL when it has none. */
shard_bytes shard_get(const shard *s, size_t i, shard_member which);
/* The key of sample i, made from the tar; the caller frees. */
err shard_key(const shard *s, size_t i, char **key) ERR_MUST_CHECK;
/* Takes samples out of the index: those marked in is_left_out [count]. */
void shard_leave_out(shard *s, const bool *is_left_out);

#endif
