#include "ops/ops.h"

void ops_destroy(ops *o) {
  if (o) o->call->destroy(o);
}
