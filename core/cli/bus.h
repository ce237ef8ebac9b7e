/* SIGBUS: a page of a mapped file could not be read, since the file was truncated or its file
 * system failed. */
#ifndef FLIP_CLI_BUS_H
#define FLIP_CLI_BUS_H

/* From now on such a fault ends the process with a message that names the file, and the exit status
 * of other failures to read. */
void bus_name_files(void);

#endif
