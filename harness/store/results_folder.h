/* The results folder that a database lying outside it records: its id, which is also in a file of
 * that folder, and where it was last seen. One that lies in its results folder names none. */
#ifndef FLIPBENCH_STORE_RESULTS_FOLDER_H
#define FLIPBENCH_STORE_RESULTS_FOLDER_H

#include "store/store.h"

typedef struct {
  char *id, *path; /* owned; "": none named yet */
} store_results_folder;

err store_load_results_folder(store *s, store_results_folder *folder) ERR_MUST_CHECK;
err store_put_results_folder(store *s, const char *id, const char *path) ERR_MUST_CHECK;
void store_free_results_folder(store_results_folder *folder);

#endif
