/* Fixtures that are gzipped text. */
#ifndef FLIP_TEST_GUNZIP_H
#define FLIP_TEST_GUNZIP_H

/* The whole text, NUL-terminated; the caller frees. Fails the test when it cannot be read. */
char *gunzip_file(const char *path);

#endif
