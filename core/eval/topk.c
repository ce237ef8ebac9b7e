/* torch's top-k selection in C. The order of ties is whatever libstdc++'s algorithms produce, so
 * these are reproduced step by step: heap selection and sorting for small k, introselect otherwise.
 * tests/parity/make_topk_fixture.py stores torch's own results. */
#include "eval/topk.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_before(topk_entry a, topk_entry b) {
  return (isnan(a.score) && !isnan(b.score)) || a.score > b.score;
}

static void swap(topk_entry *a, topk_entry *b) {
  topk_entry kept = *a;
  *a = *b;
  *b = kept;
}

static void push_heap(topk_entry *heap, ptrdiff_t hole, ptrdiff_t top, topk_entry value) {
  ptrdiff_t parent = (hole - 1) / 2;
  while (hole > top && is_before(heap[parent], value)) {
    heap[hole] = heap[parent];
    hole = parent;
    parent = (hole - 1) / 2;
  }
  heap[hole] = value;
}

static void adjust_heap(topk_entry *heap, ptrdiff_t hole, ptrdiff_t count, topk_entry value) {
  ptrdiff_t top = hole, child = hole;
  while (child < (count - 1) / 2) {
    child = 2 * (child + 1);
    if (is_before(heap[child], heap[child - 1])) child--;
    heap[hole] = heap[child];
    hole = child;
  }
  if (count % 2 == 0 && child == (count - 2) / 2) {
    child = 2 * (child + 1);
    heap[hole] = heap[child - 1];
    hole = child - 1;
  }
  push_heap(heap, hole, top, value);
}

static void pop_heap(topk_entry *heap, ptrdiff_t count, topk_entry *result) {
  topk_entry value = *result;
  *result = heap[0];
  adjust_heap(heap, 0, count, value);
}

/* The worst of the first `middle` stays on top until a better one is found. */
static void heap_select(topk_entry *first, ptrdiff_t middle, ptrdiff_t count) {
  for (ptrdiff_t parent = (middle - 2) / 2; middle >= 2 && parent >= 0; parent--)
    adjust_heap(first, parent, middle, first[parent]);
  for (ptrdiff_t i = middle; i < count; i++)
    if (is_before(first[i], first[0])) pop_heap(first, middle, &first[i]);
}

static void partial_sort(topk_entry *first, ptrdiff_t middle, ptrdiff_t count) {
  heap_select(first, middle, count);
  for (ptrdiff_t last = middle; last > 1; last--) pop_heap(first, last - 1, &first[last - 1]);
}

static void insertion_sort(topk_entry *first, ptrdiff_t count) {
  for (ptrdiff_t i = 1; i < count; i++) {
    topk_entry value = first[i];
    ptrdiff_t at = i;
    if (is_before(value, first[0]))
      at = 0;
    else
      while (is_before(value, first[at - 1])) at--;
    memmove(first + at + 1, first + at, (size_t)(i - at) * sizeof *first);
    first[at] = value;
  }
}

static void move_median(topk_entry *result, topk_entry *a, topk_entry *b, topk_entry *c) {
  topk_entry *median;
  if (is_before(*a, *b))
    median = is_before(*b, *c) ? b : is_before(*a, *c) ? c : a;
  else
    median = is_before(*a, *c) ? a : is_before(*b, *c) ? c : b;
  swap(result, median);
}

static topk_entry *partition(topk_entry *first, topk_entry *last) {
  topk_entry *pivot = first;
  move_median(first, first + 1, first + (last - first) / 2, last - 1);
  for (first++;; first++) {
    while (is_before(*first, *pivot)) first++;
    last--;
    while (is_before(*pivot, *last)) last--;
    if (first >= last) return first;
    swap(first, last);
  }
}

static void nth_element(topk_entry *first, topk_entry *nth, topk_entry *last) {
  int depth = 2 * (63 - __builtin_clzll((unsigned long long)(last - first)));
  while (last - first > 3) {
    if (depth-- == 0) {
      heap_select(first, nth + 1 - first, last - first);
      swap(first, nth);
      return;
    }
    topk_entry *cut = partition(first, last);
    if (cut <= nth)
      first = cut;
    else
      last = cut;
  }
  insertion_sort(first, last - first);
}

void topk_select(topk_entry *entries, int64_t count, int64_t k) {
  if (k * 64 <= count) {
    partial_sort(entries, k, count);
    return;
  }
  if (k > 0 && k - 1 < count) nth_element(entries, entries + k - 1, entries + count);
  if (k <= 17)
    insertion_sort(entries, k - 1); /* what std::sort does for so few elements */
  else
    partial_sort(entries, k - 1, k - 1);
}
