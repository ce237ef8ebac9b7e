/* How git is called: independently of the caller's environment and configuration. */
#ifndef FLIPBENCH_TIMING_GIT_H
#define FLIPBENCH_TIMING_GIT_H

/* The first words of a call that prints commits: where the user has git show signatures, their text
 * would come before the format that was asked for. */
#define GIT_PRINTING "git", "-c", "log.showSignature=false"

/* Removes the variables that name a repository, a work tree or an index from this process's
 * environment. Git sets them for aliases and hooks, users for a work tree without a .git. They take
 * precedence over the folder in which git is started: a build's checkout would be cleaned, and its
 * commit read, in the user's own work tree. Called by `main`, since builds call git too. */
void git_forget_repository(void);

#endif
