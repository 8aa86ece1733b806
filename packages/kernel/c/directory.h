/*
 * Directories and what is in them. A second thread lists ahead of the walk, in its order and within a budget, so that
 * the walk mostly finds done what it needs; where it does not, it does the next thing itself rather than wait.
 */
#ifndef RINGWALL_DIRECTORY_H
#define RINGWALL_DIRECTORY_H
#include "common.h"
#include <sys/stat.h>

typedef struct Directory Directory;
typedef struct { uint32_t at; uint16_t length; uint8_t type; } Entry;
/* What was learnt about an entry ahead: of a file its identity or why there is none, of a directory its own listing. */
typedef struct { Directory *child; int error; unsigned char identity[IDENTITY_BYTES]; } Detail;

struct Directory {
  /* The name in the parent is the end of the path; a root has no parent. */
  const Directory *parent;
  char *path;
  size_t path_length, name_at;
  uint16_t mount;
  int depth;
  /* Why it cannot be entered; why its names are not all there. 0 or an errno. */
  int open_error, list_error;
  /* Names end with a zero; sorted as whole paths, those of directories as if they ended with a slash. */
  char *names;
  Entry *entries;
  size_t count;
  /* One for each entry; NULL in a directory of many names, which is looked at as it is walked. */
  Detail *details;
  /* Open where entries may have to be looked at. */
  int fd;
  enum { TO_DO, TAKEN, DONE } state;
  Directory *before, *next;
  size_t weight;
};

/* Starts the thread that lists ahead. Without it all is listed when it is needed. */
void list_ahead(void);
/* A directory to be listed; `name_length` bytes of its name end its path. */
Directory *directory_new(const Directory *parent, const char *path, size_t path_length, size_t name_length, uint16_t mount);
/* Returns when it is listed. */
void directory_need(Directory *directory);
/* To be called when all below it was walked. */
void directory_free(Directory *directory);
/* Looks at a file of an open directory. Answers 0 or an errno, ENOENT when it is no file any more. */
int look_at(int fd, const char *name, unsigned char *identity);
void identity_of(const struct stat *seen, unsigned char *identity);
#endif
