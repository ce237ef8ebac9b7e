/* A library that the CUDA driver loads into a program (CUDA_INJECTION64_PATH=…) and that writes
 * every kernel, copy and fill on the device, those of graphs too, to the file KERNEL_TRACE: start
 * and duration in ns, stream, graph (0: none), name. kernels.sh builds and uses it, kernel_table.py
 * reads the file. */
#include <cupti.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_BYTES = 8 << 20, FLUSH_MS = 300 };

static FILE *trace; /* the library has no other place: CUPTI's callbacks take no argument of ours */

static void give_buffer(uint8_t **buffer, size_t *size, size_t *most_records) {
  *buffer = aligned_alloc(8, BUFFER_BYTES);
  *size = *buffer ? BUFFER_BYTES : 0;
  *most_records = 0; /* as many as fit */
}

static void write_record(uint64_t start, uint64_t end, uint32_t stream, uint32_t graph,
                         const char *name) {
  fprintf(trace, "%llu %llu %u %u %s\n", (unsigned long long)start,
          (unsigned long long)(end - start), stream, graph, name);
}

static void take_buffer(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size,
                        size_t used) {
  CUpti_Activity *record = NULL;
  (void)context, (void)stream, (void)size;
  while (used && cuptiActivityGetNextRecord(buffer, used, &record) == CUPTI_SUCCESS) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      const CUpti_ActivityKernel10 *k = (const void *)record;
      write_record(k->start, k->end, k->streamId, k->graphId, k->name);
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      const CUpti_ActivityMemcpy6 *m = (const void *)record;
      write_record(m->start, m->end, m->streamId, m->graphId, "copy");
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
      const CUpti_ActivityMemset4 *m = (const void *)record;
      write_record(m->start, m->end, m->streamId, m->graphId, "fill");
    }
  }
  fflush(trace);
  free(buffer);
}

/* The file is left to exit: CUPTI's own thread may write once more. */
static void end_trace(void) {
  cuptiActivityFlushAll(1);
  fflush(trace);
}

/* Called by the driver. */
int InitializeInjection(void);
int InitializeInjection(void) {
  const char *path = getenv("KERNEL_TRACE");
  trace = path ? fopen(path, "w") : NULL;
  if (!trace) return 0;
  if (cuptiActivityRegisterCallbacks(give_buffer, take_buffer) != CUPTI_SUCCESS ||
      cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS)
    fputs("CUPTI cannot record kernels\n", stderr);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMCPY);
  cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMSET);
  cuptiActivityFlushPeriod(FLUSH_MS);
  atexit(end_trace);
  return 1;
}
