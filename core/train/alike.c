/* Ranks train one run. Each finds its settings, data and checkpoint by itself, on a file system
 * that may be its machine's own: they are compared before anything is computed from them. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "comm/open.h"
#include "train/run.h"

/* What must be equal on all ranks; a digest is "" where there is nothing, or it is not known. */
typedef struct {
  char program[HASH_SIZE], settings[HASH_SIZE], data[HASH_SIZE], vocabulary[HASH_SIZE],
      lexicon[HASH_SIZE], init[HASH_SIZE], sets[HASH_SIZE];
  int64_t samples, first_step, steps;
} basis;

static const struct {
  size_t offset;
  const char *what, *remedy;
} digests[] = {
    {offsetof(basis, program), "another version of flip", "install the same one everywhere"},
    {offsetof(basis, settings), "other settings",
     "start all ranks with the same run file and the same --set"},
    {offsetof(basis, data), "other training data", "every rank needs all of the same data"},
    {offsetof(basis, vocabulary), "another text.vocabulary", "use one file everywhere"},
    {offsetof(basis, lexicon), "another text_mask_lexicon", "use one file everywhere"},
    {offsetof(basis, init), "another init_from", "use one file everywhere"},
    {offsetof(basis, sets), "other evaluation sets", "every rank needs all of the same sets"}};

static void hash_text(const strbuf *text, char digest[HASH_SIZE]) {
  if (text->length) hash_bytes(text->data, text->length, digest);
}

static err describe(const run *r, basis *b) {
  const run_inputs *g = &r->state_file.inputs;
  strbuf program = {0}, sets = {0};
  *b = (basis){.samples = g->data_samples, .first_step = r->at.step, .steps = r->total_steps};
  memcpy(b->data, g->data, HASH_SIZE);
  memcpy(b->vocabulary, g->vocabulary, HASH_SIZE);
  memcpy(b->lexicon, g->lexicon, HASH_SIZE);
  memcpy(b->init, g->init, HASH_SIZE);
  if (*g->commit) strbuf_format(&program, "%s %s", g->commit, g->dirty);
  for (size_t i = 0; i < g->set_count; i++)
    strbuf_format(&sets, "%s %s\n", g->sets[i].name, g->sets[i].digest);
  err error = program.is_broken || sets.is_broken ? mem_error(0, "the run's inputs")
                                                  : settings_digest_shared(r->s, b->settings);
  hash_text(&program, b->program);
  hash_text(&sets, b->sets);
  strbuf_free(&program);
  strbuf_free(&sets);
  return error;
}

static err compare(int rank, const basis *theirs, const basis *first) {
  enum { SHOWN = 12 }; /* the first digits suffice */
  char counts[96] = "";
  if (theirs->samples != first->samples)
    snprintf(counts, sizeof counts, "; %" PRId64 " training samples, rank 0: %" PRId64,
             theirs->samples, first->samples);
  for (size_t i = 0; i < sizeof digests / sizeof *digests; i++) {
    const char *a = (const char *)first + digests[i].offset;
    const char *b = (const char *)theirs + digests[i].offset;
    if (!*a || !*b || strcmp(a, b) == 0) continue;
    return err_new(ERR_INPUT, "rank %d has %s than rank 0 (fingerprint %.*s…, rank 0: %.*s…%s): %s",
                   rank, digests[i].what, SHOWN, b, SHOWN, a, counts, digests[i].remedy);
  }
  if (theirs->first_step != first->first_step)
    return err_new(ERR_INPUT,
                   "rank %d would continue at step %" PRId64 ", rank 0 at step %" PRId64
                   ": --resume needs --out on a file system that all ranks read",
                   rank, theirs->first_step, first->first_step);
  if (theirs->steps != first->steps)
    return err_new(ERR_INPUT,
                   "rank %d would end at step %" PRId64 ", rank 0 at step %" PRId64
                   "%s: every rank needs all of the same data",
                   rank, theirs->steps, first->steps, counts);
  return NULL;
}

err run_compare_kernels(const run *r) {
  if (r->s->optimizer_shard) return NULL;
  return comm_check_kernels(
      r->o, r->ranks,
      r->o->call->queue
          ? "update weights with other bits: set optimizer.shard: true, with which each weight is "
            "updated by one rank, or use GPUs of one kind"
          : "update weights with other bits: set FLIP_CPU_KERNELS to the older of them on all "
            "ranks, or optimizer.shard: true, with which each weight is updated by one rank");
}

err run_compare_ranks(const run *r) {
  size_t size = (size_t)comm_size(r->ranks);
  basis own, *all = NULL;
  if (size == 1) return NULL;
  err error = describe(r, &own);
  if (!error && !(all = mem_zeroed(size, sizeof *all)))
    error = mem_error(size * sizeof *all, "messages of the ranks");
  error = ranks_agree(r->ranks, error);
  if (!error) error = r->ranks->call->gather_bytes(r->ranks, &own, sizeof own, all);
  for (int rank = 1; rank < (int)size && !error; rank++) error = compare(rank, &all[rank], &all[0]);
  free(all);
  return error;
}
