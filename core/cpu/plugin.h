/* The CPU backend. Hand-written kernels for the detected processor (base/processor.h), oneDNN for
 * matrix products; 8-bit dense layers are emulated to measure their accuracy, without a gain in
 * speed. */
#ifndef FLIP_CPU_PLUGIN_H
#define FLIP_CPU_PLUGIN_H

#include "ops/plugin.h"

extern const ops_plugin cpu_plugin;

/* The same for a program that needs no other backend. threads 0: all that this process may use. */
err ops_create_cpu(ops_type compute, int threads, ops **out) ERR_MUST_CHECK;

#endif
