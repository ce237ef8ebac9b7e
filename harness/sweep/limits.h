/* The memory limit of a cell's process, and detection of out-of-memory kills. Internal to sweep/.
 *
 * Uses a cgroup (version 2) per process where this process may create one: it limits memory in use
 * and reports kills. Otherwise RLIMIT_DATA: it limits requested memory, and an allocation beyond it
 * fails. With systemd, `systemd-run --user --scope -p Delegate=yes flipbench run …` provides a
 * cgroup in which others can be created; $FLIPBENCH_CGROUP selects another folder. */
#ifndef FLIPBENCH_SWEEP_LIMITS_H
#define FLIPBENCH_SWEEP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* The folder in which cgroups for cells can be created, after moving this process into a leaf; the
 * caller frees. NULL when there is none. */
char *limits_find_cgroup(void);
/* A cgroup below `base` with that much memory and no swap; the caller frees. NULL when not
 * permitted. */
char *limits_make_cgroup(const char *base, const char *name, int64_t memory_bytes);
/* Applies the limit to the calling process: the cgroup, or (NULL, or when that fails) RLIMIT_DATA.
 * Safe between fork and exec. */
void limits_enter(const char *cgroup_procs, int64_t memory_bytes);
/* Processes that the kernel killed in it for lack of memory; 0 where that cannot be read. One that
 * was left behind keeps its count. */
int64_t limits_count_kills_in(const char *cgroup);
void limits_remove_cgroup(const char *cgroup);

/* The kernel's count of out-of-memory kills since boot; 0 when not available. */
int64_t limits_count_kills(void);

#endif
