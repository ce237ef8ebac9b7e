/* Links from an unpacked bundle to the data of this machine. Internal to exchange/. */
#ifndef FLIPBENCH_EXCHANGE_PLACE_LINK_H
#define FLIPBENCH_EXCHANGE_PLACE_LINK_H

#include "exchange/localise.h"

/* Whether a file, or some file for a pattern ({…} and globs), is there. */
bool link_is_there(const char *path);
/* Whether `path` is a file of the folder itself and not reached through a link in it. */
bool link_is_own(const char *folder, const char *path);

/* Makes what `path` (as written; a file, a folder or a pattern) names on this machine visible in
 * the bundle's folder. Nothing is done for what is nowhere. */
err link_path(const localise_place *p, const char *path) ERR_MUST_CHECK;

#endif
