/* The CPU backend, by its table as ops/device.c opens it. */
#ifndef FLIP_SUPPORT_OPEN_CPU_H
#define FLIP_SUPPORT_OPEN_CPU_H

#include "cpu/plugin.h"

/* With two threads, unless the request says otherwise. */
static inline err open_on_cpu(ops_request request, ops **out) {
  err error = cpu_plugin.probe();
  if (!request.threads) request.threads = 2;
  return error ? error : cpu_plugin.create(&request, out);
}

#endif
