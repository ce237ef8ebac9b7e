/* Links from an unpacked bundle to the data of this machine. Internal to exchange/. */
#ifndef FLIPBENCH_EXCHANGE_PLACE_LINK_H
#define FLIPBENCH_EXCHANGE_PLACE_LINK_H

#include "exchange/localise.h"

/* Does a file, or some file for a pattern ({…} and globs), exist? */
bool link_is_there(const char *path);
/* Is `path` a file of the folder itself, not reached through a link in it? */
bool link_is_own(const char *folder, const char *path);

/* Makes the local files of `path` (as written; a file, a folder or a pattern) visible in the
 * bundle's folder. Does nothing if they are not found. */
err link_path(const localise_place *p, const char *path) ERR_MUST_CHECK;

#endif
