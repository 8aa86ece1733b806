/* The records of a walk on the standard output, as src/walk-stream.ts describes them. */
#ifndef RINGWALL_STREAM_H
#define RINGWALL_STREAM_H
#include "common.h"

enum { KIND_FILE = 1, KIND_DIRECTORY, KIND_SKIPPED, KIND_END, KIND_KNOWN, KIND_GONE, KIND_UNCHANGED };

/* One record of a path, and what follows it. */
void emit(int kind, int reason, uint16_t mount, const char *path, size_t length, const unsigned char *body,
          size_t body_bytes);
/* One more file of a mount that is as its record has it. */
void count_unchanged(uint16_t mount);
/* What was seen goes on its way soon, also where there is little to tell: it may have to be judged. */
void flush_if_old(void);
void flush(void);
#endif
