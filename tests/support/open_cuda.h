/* The device, where there is one; else why not. */
#ifndef FLIP_SUPPORT_OPEN_CUDA_H
#define FLIP_SUPPORT_OPEN_CUDA_H

#include "ops/device.h"

static inline err open_cuda(int precision, ops **out) {
  settings s;
  err error = settings_init(&s);
  if (error) return error;
  s.device = DEVICE_CUDA;
  error = ops_open_as(&s, precision, out);
  settings_free(&s);
  return error;
}

#endif
