/* Errors as values: one type for all of flip and flipbench.
 *
 * A function that can fail returns `err`; NULL means success. An error owns a message that gains
 * context as it propagates ("reading shard 00012.tar: member 'a.jpg': not a JPEG"). Libraries never
 * print and never exit: only the command-line layer does, through err_message. */
#ifndef FLIP_BASE_ERR_H
#define FLIP_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct err_info *err;

typedef enum {
  ERR_INPUT,       /* invalid user input: a config, a file, an option */
  ERR_IO,          /* the operating system failed: open, read, write, full disk */
  ERR_MEMORY,      /* an allocation failed */
  ERR_UNSUPPORTED, /* unsupported by this machine, build or library */
  ERR_NUMERIC,     /* NaN or infinity where a finite number is required */
  ERR_INTERRUPTED, /* the user or the scheduler asked to stop */
  ERR_LOST,        /* an exchange with other ranks failed; they may not know */
  ERR_INTERNAL     /* a violated internal invariant: a bug */
} err_kind;

#define ERR_MUST_CHECK __attribute__((warn_unused_result))

/* A new error. Never returns NULL: when out of memory a static error is returned instead. */
err err_new(err_kind kind, const char *format, ...)
    __attribute__((format(printf, 2, 3))) ERR_MUST_CHECK;

/* ERR_IO with strerror(errno_value) appended: err_errno(errno, "writing %s", path). */
err err_errno(int errno_value, const char *format, ...)
    __attribute__((format(printf, 2, 3))) ERR_MUST_CHECK;

/* Puts "context: " before the message and returns the same error. NULL stays NULL. */
err err_context(err error, const char *format, ...)
    __attribute__((format(printf, 2, 3))) ERR_MUST_CHECK;

err_kind err_kind_of(err error);
const char *err_message(err error);

/* Frees an error (NULL is allowed). Also used to ignore a failure explicitly. */
void err_free(err error);

/* The error of the lowest index among those of a loop's iterations. Initialise with {0}. */
typedef struct {
  err error; /* the caller's to return or free */
  size_t index;
} err_first;
/* Keeps `error`, or frees it. Not for several threads at a time. */
void err_keep_first(err_first *first, size_t index, err error);

/* For functions with `err error = NULL;` and a `cleanup:` label: run, and leave on failure. */
#define TRY(call)                                                                                  \
  do {                                                                                             \
    error = (call);                                                                                \
    if (error) goto cleanup;                                                                       \
  } while (0)

/* Set the error and leave. */
#define FAIL(...)                                                                                  \
  do {                                                                                             \
    error = err_new(__VA_ARGS__);                                                                  \
    goto cleanup;                                                                                  \
  } while (0)

#ifdef __cplusplus
}
#endif
#endif
