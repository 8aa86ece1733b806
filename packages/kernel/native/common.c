#define _GNU_SOURCE
#include "guard.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }

size_t path_of(int fd, char *into, size_t capacity) {
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, into, capacity);
  return length > 0 && (size_t)length < capacity ? (size_t)length : 0;
}

void say_hello(int error) {
  struct {
    uint32_t abi, pid;
    int32_t error;
  } hello = {GUARD_ABI, (uint32_t)getpid(), error};
  frame_send_waiting(AGENT_FD, OUT_HELLO, &hello, sizeof hello, NULL, 0);
}

void say_marked(int error, const void *path, size_t length, bool waits) {
  int32_t code = error;
  if (waits) frame_send_waiting(AGENT_FD, OUT_MARKED, &code, sizeof code, path, length);
  else frame_send(AGENT_FD, OUT_MARKED, &code, sizeof code, path, length);
}

int watch_mounts(void) { return open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC); }

char *copy_text(const uint8_t *text, uint16_t length) {
  char *copy = malloc((size_t)length + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}
