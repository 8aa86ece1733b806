#include "common.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void *must(void *memory) {
  if (memory == NULL) { fputs("walk: out of memory\n", stderr); exit(70); }
  return memory;
}

int reason_of(int error) {
  if (error == ENOENT || error == ENOTDIR || error == ESTALE) return REASON_VANISHED;
  if (error == EACCES || error == EPERM) return REASON_ACCESS_DENIED;
  if (error == ELOOP) return REASON_SYMLINK;
  return REASON_IO_ERROR;
}
