/* What all parts of the walker share. */
#ifndef RINGWALL_COMMON_H
#define RINGWALL_COMMON_H
#include <stddef.h>
#include <stdint.h>

enum { MAX_PATH = 4095, IDENTITY_BYTES = 36 };
/* The numbers of src/walk-stream.ts. */
enum {
  REASON_VANISHED = 1, REASON_ACCESS_DENIED, REASON_SYMLINK, REASON_IO_ERROR, REASON_SPECIAL_FILE,
  REASON_EXCLUDED, REASON_PSEUDO_FS, REASON_REMOTE_FS, REASON_DUPLICATE_MOUNT
};

/* Ends the program when there is no memory. */
void *must(void *memory);
/* The reason that an errno stands for. */
int reason_of(int error);
#endif
