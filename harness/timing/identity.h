/* The identity of a sample: the program's commit and build, and the machine. Internal to
 * timing/. */
#ifndef FLIPBENCH_TIMING_IDENTITY_H
#define FLIPBENCH_TIMING_IDENTITY_H

#include <stddef.h>

#include "base/err.h"

typedef struct {
  char commit[48], dirty[16]; /* as reported by the program; dirty: "" without uncommitted
                               * changes */
  char committed[40];         /* the commit date from git; "" if unknown */
  char build[400];            /* compiler and flags: "gcc 12.2.0, -O3 -DNDEBUG" */
} program_identity;

/* Runs PROGRAM --version: "flip 0.1.0 (COMMIT+DIRTY, COMPILER, FLAGS)". `repository`: the git
 * repository to ask for the date. ERR_INPUT when it cannot be started. */
err identity_of_program(const char *program, const char *repository,
                        program_identity *identity) ERR_MUST_CHECK;
/* "AMD EPYC 9V74 80-Core Processor, 2 CPUs" */
void identity_of_machine(char *name, size_t size);

#endif
