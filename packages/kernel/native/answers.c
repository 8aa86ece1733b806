/* The answers of the permission group, and what is counted of them. */
#define _GNU_SOURCE
#include "permission.h"

#include <errno.h>
#include <sys/fanotify.h>
#include <unistd.h>

int permission_group = -1;
struct guard_stats stats;

void respond(int fd, bool allows) {
  struct fanotify_response response = {.fd = fd, .response = allows ? FAN_ALLOW : FAN_DENY};
  while (write(permission_group, &response, sizeof response) < 0 && errno == EINTR) continue;
  if (!allows) stats.denied += 1;
}

void count_answer(uint64_t since_ns) {
  uint64_t us = (now_ns() - since_ns) / 1000;
  uint32_t bucket = (uint32_t)us;
  if (us >= 8) {
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll(us);
    bucket = 8 + (exponent - 3) * 4 + (uint32_t)((us >> (exponent - 2)) & 3);
  }
  stats.answer_us[bucket < HISTOGRAM ? bucket : HISTOGRAM - 1] += 1;
}
