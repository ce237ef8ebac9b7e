#include "simt/left_out.h"

#include <stdio.h>
#include <string.h>

enum { MOST_SITES = 32 };

static struct {
  left_out_site sites[MOST_SITES];
  int count, chosen;
} mutation = {.chosen = -1};

int left_out_sites(const left_out_site **sites) {
  *sites = mutation.sites;
  return mutation.count;
}

void left_out_choose(int site) {
  mutation.chosen = site;
}

bool is_left_out(const char *what, const char *file, int line) {
  int i = 0;
  while (i < mutation.count &&
         (mutation.sites[i].line != line || strcmp(mutation.sites[i].file, file) != 0))
    i++;
  if (i == mutation.count && i < MOST_SITES)
    mutation.sites[mutation.count++] = (left_out_site){what, file, line};
  return i == mutation.chosen;
}

int left_out_count_missed(const char *(*notice)(void)) {
  const int count = mutation.count; /* without sites that only a mutant reaches */
  int missed = 0;
  for (int i = 0; i < count; i++) {
    const left_out_site *site = &mutation.sites[i];
    left_out_choose(i);
    const char *noticed = notice();
    const char *name = strrchr(site->file, '/');
    printf("without %s of %s:%d: %s\n", site->what, name ? name + 1 : site->file, site->line,
           noticed ? noticed : "NOT DETECTED");
    missed += !noticed;
  }
  left_out_choose(-1);
  return missed;
}
