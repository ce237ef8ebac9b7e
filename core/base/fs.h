/* Files: whole reads, atomic writes, folders. Errors carry the path. */
#ifndef FLIP_BASE_FS_H
#define FLIP_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* The whole file, NUL-terminated one past `length`; the caller frees `*data`. */
err fs_read(const char *path, char **data, size_t *length) ERR_MUST_CHECK;
/* All bytes or nothing: written beside `path`, fsynced, renamed over it, folder fsynced. */
err fs_write_atomic(const char *path, const void *data, size_t length) ERR_MUST_CHECK;
/* The same for a file that is written piece by piece: it has its name only once it is whole. Start
 * from {0}; whatever happened, end with fs_writer_close, which removes what was not committed. */
typedef struct {
  int fd;                 /* for libraries that write by themselves */
  char *path, *temporary; /* NULL: not open */
} fs_writer;

err fs_writer_open(fs_writer *w, const char *path) ERR_MUST_CHECK;
err fs_writer_add(fs_writer *w, const void *data, size_t length) ERR_MUST_CHECK;
/* fsync, rename, fsync of the folder. */
err fs_writer_commit(fs_writer *w) ERR_MUST_CHECK;
void fs_writer_close(fs_writer *w);
/* True for the name of a file that such a writer has not committed (yet). */
bool fs_is_temporary(const char *name);
/* write(2) until done; a full disk is an error that names the path. */
err fs_write_all(int fd, const void *data, size_t length, const char *path) ERR_MUST_CHECK;
/* mkdir -p. */
err fs_make_folders(const char *path) ERR_MUST_CHECK;
bool fs_exists(const char *path);
bool fs_is_folder(const char *path);
/* "folder/name"; the caller frees; NULL when memory is short. */
char *fs_join(const char *folder, const char *name);
/* The part after the last '/'. */
const char *fs_name(const char *path);
/* Takes `path` (created if missing) for this process alone, until *fd is closed or the process
 * ends; ERR_IO naming `what` when another process has it. */
err fs_lock(const char *path, const char *what, int *fd) ERR_MUST_CHECK;
/* The names in a folder without "." and "..", sorted bytewise; free with fs_free_names. */
err fs_list(const char *folder, char ***names, size_t *count) ERR_MUST_CHECK;
void fs_free_names(char **names, size_t count);

#endif
