/* Every call of a comm on the buffers of a GPU, against expected values. One process per rank, all
 * with the launcher's variables; FLIP_COMM=nccl for a single one. Exits 77 if there is no GPU. On
 * the imitation: tests/imitation/ranks_on_gpus_exchange_what_they_should.sh. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/open.h"
#include "ops/device.h"

static int failures;
static ops *device;

static void must(err error) {
  if (!error) return;
  fprintf(stderr, "%s\n", err_message(error));
  exit(1);
}

static void expect(bool is_right, const comm *c, const char *what, int64_t i) {
  if (is_right || failures++ > 20) return;
  fprintf(stderr, "rank %d of %d: %s at %lld\n", c->rank, c->size, what, (long long)i);
}

/* Differs from rank to rank, and so that the order of a float sum shows. */
static float value(int rank, int64_t i) {
  return (float)((rank % 2 ? 1e-3 : 1e4) * sin((double)(i + 1) * (rank + 1)));
}

static double rounded(float x) {
  int exponent;
  double fraction = frexp((double)x, &exponent);
  return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static float sum_of(const comm *c, int64_t i, ops_type wire) {
  double sum = 0;
  for (int r = 0; r < c->size; r++)
    sum += wire == OPS_BF16 ? rounded(value(r, i)) : (double)value(r, i);
  return (float)sum;
}

static ops_buffer allocate(int64_t count, ops_type type) {
  ops_buffer b = {NULL, type};
  must(device->call->allocate(device, (size_t)(count + 1) * ops_size_of(type), "a test", &b.data));
  return b;
}

static ops_buffer filled(const comm *c, int64_t total) {
  ops_buffer x = allocate(total, OPS_F32);
  float *values = malloc((size_t)(total + 1) * sizeof *values);
  for (int64_t i = 0; i < total; i++) values[i] = value(c->rank, i);
  must(device->call->upload(device, x.data, values, (size_t)total * sizeof *values));
  free(values);
  return x;
}

static float *taken(ops_buffer x, int64_t total) {
  float *values = malloc((size_t)(total + 1) * sizeof *values);
  must(device->call->download(device, values, x.data, (size_t)total * sizeof *values));
  device->call->release(device, x.data);
  return values;
}

/* is_exact: in rank order; else in any order. */
static void check_sum(comm *c, int64_t total, ops_type wire, bool is_exact) {
  ops_buffer x = filled(c, total);
  must(c->call->sum_slices(c, total, x, wire));
  must(c->call->gather_slices(c, total, x));
  must(comm_join(c));
  float *got = taken(x, total);
  for (int64_t i = 0; i < total; i++) {
    float wanted = sum_of(c, i, wire);
    bool is_right = is_exact ? got[i] == wanted : fabsf(got[i] - wanted) <= 4e-3f * (float)c->size;
    expect(is_right, c, wire == OPS_BF16 ? "sum in bf16" : "sum", i);
  }
  free(got);
}

/* Ops called while a sum runs, and ops called after it, each on its own memory. */
static void check_parallel(comm *c) {
  enum { TOTAL = 50000 };
  ops_buffer x = filled(c, TOTAL), y = filled(c, TOTAL), z = allocate(TOTAL, OPS_F32);
  must(device->call->fill(device, TOTAL, z, 3));
  must(c->call->sum_slices(c, TOTAL, x, OPS_F32));
  must(device->call->fill(device, TOTAL, z, 4));
  must(c->call->sum_slices(c, TOTAL, y, OPS_F32));
  must(c->call->gather_slices(c, TOTAL, x));
  must(c->call->gather_slices(c, TOTAL, y));
  must(comm_join(c));
  must(device->call->cast(device, TOTAL, x, z));
  float *of_x = taken(x, TOTAL), *of_y = taken(y, TOTAL), *of_z = taken(z, TOTAL);
  for (int64_t i = 0; i < TOTAL; i++)
    expect(of_x[i] == sum_of(c, i, OPS_F32) && of_y[i] == of_x[i] && of_z[i] == of_x[i], c,
           "sums in parallel", i);
  free(of_x);
  free(of_y);
  free(of_z);
}

static void check_gather(comm *c, int64_t count, ops_type type) {
  size_t bytes = (size_t)count * ops_size_of(type), all_bytes = bytes * (size_t)c->size;
  unsigned char *host = malloc(all_bytes);
  ops_buffer own = allocate(count, type), all = allocate(count * c->size, type);
  memset(host, c->rank + 1, bytes);
  must(device->call->upload(device, own.data, host, bytes));
  must(c->call->gather(c, count, own, all));
  must(device->call->download(device, host, all.data, all_bytes));
  for (size_t i = 0; i < all_bytes; i++) expect(host[i] == i / bytes + 1, c, "gather", (int64_t)i);
  device->call->release(device, own.data);
  device->call->release(device, all.data);
  free(host);
}

/* A captured step that sums values filled in before it, replayed three times. */
static void check_recorded(comm *c) {
  enum { TOTAL = 3000, RUNS = 3 };
  void *recording = NULL;
  ops_buffer x = allocate(TOTAL, OPS_F32), all = allocate(TOTAL * c->size, OPS_F32);
  if (!device->call->record || !c->can_record) return;
  must(device->call->fill(device, TOTAL, x, 1));
  must(device->call->record(device));
  must(c->call->sum_slices(c, TOTAL, x, OPS_F32));
  must(c->call->gather_slices(c, TOTAL, x));
  must(comm_join(c));
  must(c->call->gather(c, TOTAL, x, all));
  must(device->call->record_end(device, &recording));
  for (int i = 0; i < RUNS; i++) must(device->call->replay(device, recording));
  float *got = taken(all, TOTAL * c->size);
  for (int64_t i = 0; i < TOTAL * c->size; i++)
    expect(got[i] == powf((float)c->size, RUNS), c, "recorded", i);
  free(got);
  device->call->release(device, x.data);
  device->call->forget(device, recording);
}

static void check_all(comm *c, bool is_deterministic) {
  /* shorter than a slice unit, odd, equal slices, longer than is summed at once */
  const int64_t totals[] = {0, 1, 1023, 1025, 5000, 12 << 10, 9000007};
  for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
    if (totals[i] > 1000000 && getenv("FLIP_TEST_SMALL")) continue;
    check_sum(c, totals[i], OPS_F32, is_deterministic);
    check_sum(c, totals[i], OPS_BF16, true);
  }
  check_gather(c, 1, OPS_F32);
  check_gather(c, 777, OPS_BF16);
  check_gather(c, 64, OPS_I32);
  check_recorded(c);
  if (is_deterministic) check_parallel(c);
}

static void check_messages(comm *c) {
  char word[8] = "others";
  int ranks[64];
  if (c->rank == 0) memcpy(word, "rank 0", 7);
  must(c->call->broadcast(c, word, sizeof word));
  expect(strcmp(word, "rank 0") == 0, c, "broadcast", 0);
  must(c->call->gather_bytes(c, &c->rank, sizeof c->rank, ranks));
  for (int r = 0; r < c->size; r++) expect(ranks[r] == r, c, "gather_bytes", r);
}

int main(void) {
  settings s;
  comm *c;
  must(settings_init(&s));
  must(settings_set(&s, "device=cuda"));
  err error = ops_open_as(&s, PRECISION_FP32, &device);
  if (error) {
    printf("skipped: %s\n", err_message(error));
    err_free(error);
    return 77;
  }
  must(comm_open(&c));
  if (!c) {
    fprintf(stderr, "one process alone: set FLIP_COMM=nccl\n");
    return 1;
  }
  for (int is_deterministic = 0; is_deterministic < 2; is_deterministic++) {
    must(comm_attach(device, is_deterministic, &c));
    check_all(c, is_deterministic);
    check_messages(c);
    if (c->rank == 0 && is_deterministic) printf("%d ranks, %s\n", c->size, c->library);
    comm_detach(&c);
  }
  ops_destroy(device);
  comm_close(c);
  settings_free(&s);
  return failures != 0;
}
