/* The sources this binary was built from. */
#ifndef FLIP_BASE_VERSION_H
#define FLIP_BASE_VERSION_H

#include <stddef.h>

extern const char version_string[];       /* "0.1.0" */
extern const char version_commit[];       /* full hash, or "unknown" outside a checkout */
extern const char version_dirty_digest[]; /* 12 digits over the uncommitted diff; "" when clean */
extern const char version_compiler[];     /* "gcc 12.2.0" */
extern const char version_flags[];        /* of the compiler: "-O3 -DNDEBUG" */

/* The uncommitted diff that version_dirty_digest covers, as a patch for 'git apply'; not
 * NUL-terminated, length 0 when clean. */
const char *version_dirty_text(size_t *length);

#endif
