/* Asynchronous copies to shared memory (cp.async). */
#include <string.h>

#include "simt/machine.h"

enum { COPY_BYTES = 16 };

void simt_copy_async(void *to, const void *from, bool is_there, const char *file, int line) {
  simt_thread *t = &simt.thread[simt.current];
  if ((uintptr_t)to % COPY_BYTES != 0 || (is_there && (uintptr_t)from % COPY_BYTES != 0))
    simt_fail("cp.async (%s:%d): both addresses must be aligned to 16 bytes", file, line);
  if (t->copy_count == SIMT_MOST_COPIES)
    simt_fail("cp.async (%s:%d): more than %d copies in flight", file, line, SIMT_MOST_COPIES);
  if (is_there) record_access(from, COPY_BYTES, ACCESS_READ);
  record_access(to, COPY_BYTES, ACCESS_WRITE); /* from now on the old bytes may be gone */
  simt.copies[simt.current][t->copy_count++] = (simt_copy){to, is_there ? from : NULL, t->group};
}

void simt_copy_commit(void) {
  simt.thread[simt.current].group++;
}

void simt_copy_wait(unsigned groups) {
  simt_thread *t = &simt.thread[simt.current];
  simt_copy *copies = simt.copies[simt.current];
  unsigned kept = 0;
  for (unsigned i = 0; i < t->copy_count; i++) {
    const simt_copy copy = copies[i];
    if (copy.group + groups >= t->group) {
      copies[kept++] = copy;
      continue;
    }
    record_access(copy.to, COPY_BYTES, ACCESS_WRITE);
    if (copy.from)
      memcpy(copy.to, copy.from, COPY_BYTES);
    else
      memset(copy.to, 0, COPY_BYTES);
  }
  t->copy_count = kept;
}
