/* An imitation of cuDNN's graph interface (cudnn_graph.h), by its documentation: descriptors that
 * remember their attributes, and graphs computed in double precision on the host. It cannot show
 * whether the library has an engine for a graph; tests/cuda/test_sdpa_engines asks the library
 * itself that. */
#ifndef FLIP_IMITATION_DNN_H
#define FLIP_IMITATION_DNN_H

#include <cudnn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DNN_ATTRIBUTES = 16, DNN_WORKSPACE_BYTES = 512, DNN_ENGINES = 2 /* for every graph */ };

typedef struct dnn_descriptor dnn_descriptor;

typedef struct {
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  int64_t count;
  void *values; /* for CUDNN_TYPE_BACKEND_DESCRIPTOR: dnn_descriptor pointers */
} dnn_attribute;

struct dnn_descriptor {
  dnn_descriptor *next; /* of all there are */
  cudnnBackendDescriptorType_t type;
  bool is_final;
  int users; /* descriptors that have this one as an attribute */
  int count;
  dnn_attribute attributes[DNN_ATTRIBUTES];
};

/* NULL if it was not set. */
const dnn_attribute *dnn_find(const dnn_descriptor *d, cudnnBackendAttributeName_t name);
/* The one descriptor that an attribute holds; NULL if it was not set. */
const dnn_descriptor *dnn_part(const dnn_descriptor *d, cudnnBackendAttributeName_t name);
int64_t dnn_integer(const dnn_descriptor *d, cudnnBackendAttributeName_t name, int64_t otherwise);

/* The tensor of an operation graph with this unique id; NULL if it has none. */
const dnn_descriptor *dnn_tensor(const dnn_descriptor *graph, int64_t id);
bool dnn_is_alive(const dnn_descriptor *d);
size_t dnn_live_descriptors(void);
size_t dnn_live_objects(void); /* and handles */

/* Computes a finalised operation graph on the tensors in memory (by unique id). NULL, or what is
 * wrong with the graph or the pack of tensors. */
const char *dnn_evaluate(const dnn_descriptor *graph, int64_t count, const int64_t *ids,
                         void *const *pointers);

#endif
