/* Files: whole-file reads, atomic writes, folders. Errors contain the path. */
#ifndef FLIP_BASE_FS_H
#define FLIP_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Reads the whole file, NUL-terminated after `length` bytes; the caller frees `*data`. */
err fs_read(const char *path, char **data, size_t *length) ERR_MUST_CHECK;
/* The same of a regular file; ERR_INPUT for a pipe, a socket or a device, none of which is waited
 * for. */
err fs_read_regular(const char *path, char **data, size_t *length) ERR_MUST_CHECK;
/* Atomic: written to a temporary file next to `path`, fsynced, renamed to it, folder fsynced. */
err fs_write_atomic(const char *path, const void *data, size_t length) ERR_MUST_CHECK;
/* The same for a file written piece by piece: it gets its name only when complete. Initialise with
 * {0}; always end with fs_writer_close, which removes an uncommitted file. */
typedef struct {
  int fd;                 /* for libraries that write themselves */
  char *path, *temporary; /* NULL: not open */
} fs_writer;

err fs_writer_open(fs_writer *w, const char *path) ERR_MUST_CHECK;
err fs_writer_add(fs_writer *w, const void *data, size_t length) ERR_MUST_CHECK;
/* fsync, rename, fsync of the folder. */
err fs_writer_commit(fs_writer *w) ERR_MUST_CHECK;
void fs_writer_close(fs_writer *w);
/* True for the name of a file that such a writer has not (yet) committed. */
bool fs_is_temporary(const char *name);
/* write(2) until all is written; a full disk is an error that names the path. */
err fs_write_all(int fd, const void *data, size_t length, const char *path) ERR_MUST_CHECK;
/* mkdir -p. */
err fs_make_folders(const char *path) ERR_MUST_CHECK;
bool fs_exists(const char *path);
/* Of a file that could not be read: true if the fault is its own, since it is missing, may not be
 * read or is a folder, while its folder is there. False for an outage: its folder is gone too, or
 * is empty as a mount point without its file system is; the system or the process is at a limit; or
 * the file can be opened by now. */
bool fs_is_at_fault(const char *path);
bool fs_is_folder(const char *path);
/* "folder/name"; the caller frees; NULL when out of memory. */
char *fs_join(const char *folder, const char *name);
/* The part after the last '/'. */
const char *fs_name(const char *path);
/* Locks `path` (created if missing) exclusively until *fd is closed or the process ends; ERR_IO
 * naming `what` when another process holds the lock. */
err fs_lock(const char *path, const char *what, int *fd) ERR_MUST_CHECK;
/* Opens /dev/null for each of standard input, output and error that is closed: otherwise a file
 * that is opened later has that number, and messages are written into it. Writing to it is an
 * error. */
void fs_hold_standard_files(void);
/* The names in a folder except "." and "..", sorted bytewise; free with fs_free_names. */
err fs_list(const char *folder, char ***names, size_t *count) ERR_MUST_CHECK;
void fs_free_names(char **names, size_t count);

#endif
