#define _GNU_SOURCE
#include "stream.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_BYTES = 8, COUNT_BYTES = 4, MOST_COUNTED = 4096, OUT_BYTES = 1 << 16, FLUSH_MS = 20 };

static char before[MAX_PATH + 1];
static size_t before_length;
static unsigned char out[OUT_BYTES];
static size_t out_used;
/* Files that are as their records have them, not told yet, and the mount that they are on. */
static uint32_t unchanged;
static uint16_t unchanged_mount;

void flush(void) {
  for (size_t done = 0; done < out_used;) {
    ssize_t count = write(1, out + done, out_used - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) _exit(74);
    done += (size_t)count;
  }
  out_used = 0;
}

static int64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void flush_if_old(void) {
  static int64_t flushed_at;
  int64_t now = milliseconds();
  if (now - flushed_at < FLUSH_MS) return;
  flushed_at = now;
  flush();
}

static void put(uint64_t value, int bytes) {
  for (int index = 0; index < bytes; index += 1) out[out_used++] = (unsigned char)(value >> (8 * index));
}

static void put_head(int kind, int reason, uint16_t mount, size_t shared, size_t suffix, size_t body) {
  if (out_used + HEADER_BYTES + suffix + body > OUT_BYTES) flush();
  put((uint64_t)kind, 1);
  put((uint64_t)reason, 1);
  put(mount, 2);
  put(shared, 2);
  put(suffix, 2);
}

static void tell_unchanged(void) {
  if (unchanged == 0) return;
  put_head(KIND_UNCHANGED, 0, unchanged_mount, before_length, 0, COUNT_BYTES);
  put(unchanged, COUNT_BYTES);
  unchanged = 0;
}

void emit(int kind, int reason, uint16_t mount, const char *path, size_t length, const unsigned char *body,
          size_t body_bytes) {
  tell_unchanged();
  size_t shared = 0;
  while (shared < length && shared < before_length && path[shared] == before[shared]) shared += 1;
  size_t suffix = length - shared;
  put_head(kind, reason, mount, shared, suffix, body_bytes);
  memcpy(out + out_used, path + shared, suffix);
  out_used += suffix;
  memcpy(before + shared, path + shared, suffix);
  before_length = length;
  if (body_bytes > 0) memcpy(out + out_used, body, body_bytes);
  out_used += body_bytes;
}

void count_unchanged(uint16_t mount) {
  if (mount != unchanged_mount || unchanged == MOST_COUNTED) tell_unchanged();
  unchanged_mount = mount;
  unchanged += 1;
}
