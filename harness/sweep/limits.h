/* The memory limit of a cell's process, and how to detect that it ended for lack of memory.
 * Internal to sweep/.
 *
 * A cgroup (version 2) of its own where this process may make one: it limits memory in use and
 * reports kills. Else RLIMIT_DATA: it limits requested memory, and an allocation beyond
 * fails. Below systemd, `systemd-run --user --scope -p Delegate=yes flipbench run …` gives a
 * cgroup to make others in; $FLIPBENCH_CGROUP names another folder. */
#ifndef FLIPBENCH_SWEEP_LIMITS_H
#define FLIPBENCH_SWEEP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* The folder that cells' cgroups can be made in, after moving this process out of the way; the
 * caller frees. NULL when there is none. */
char *limits_find_cgroup(void);
/* A cgroup below `base` with that much memory and no swap; the caller frees. NULL when refused. */
char *limits_make_cgroup(const char *base, const char *name, int64_t memory_bytes);
/* Puts the calling process under the limit: into the cgroup, or (NULL, or when that fails) under
 * RLIMIT_DATA. Safe between fork and exec. */
void limits_enter(const char *cgroup_procs, int64_t memory_bytes);
bool limits_has_killed(const char *cgroup);
void limits_remove_cgroup(const char *cgroup);

/* How often the kernel has killed a process for memory since it booted; 0 when it does not say. */
int64_t limits_count_kills(void);

#endif
