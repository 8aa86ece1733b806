/*
 * When to run before all others. Everybody who starts a program waits for this process. It is answered soonest as an
 * ordinary process of the highest priority, which the kernel wakes where the program starts; one with real-time
 * priority wakes on the processor where it last ran, which may have to be woken itself. But the service's small share
 * of the processor, or its quota, may make an ordinary process wait: then real-time priority is better. What is done
 * for an event is short, and the kernel keeps some time from real-time processes.
 */
#define _GNU_SOURCE
#include "permission.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOOK_NS (100 * NS_PER_MS)
#define STAYS_NS (5 * NS_PER_S)
/* To wait longer than this for the processor, each time, is worth another priority. */
#define LONG_WAIT_NS NS_PER_MS

static int schedstat = -1, quota = -1;
static bool is_urgent;

/* A small file of the kernel; empty when it cannot be read. */
static const char *text_in(int fd) {
  static char text[1024];
  ssize_t length = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
  text[length > 0 ? length : 0] = 0;
  return text;
}

/* The cpu.stat of the own group: a line of cgroup(7) is "number:controllers:path", the second empty in version 2. */
static int open_quota(void) {
  char line[4352], path[4608];
  FILE *groups = fopen("/proc/self/cgroup", "re");
  int fd = -1;
  while (groups != NULL && fd < 0 && fgets(line, sizeof line, groups) != NULL) {
    char *controllers = strchr(line, ':'), *name = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (name == NULL) continue;
    line[strcspn(line, "\n")] = 0;
    *name = 0;
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s/cpu.stat", controllers + 1, name + 1);
    fd = open(path, O_RDONLY | O_CLOEXEC);
  }
  if (groups != NULL) fclose(groups);
  return fd;
}

static void become(bool urgent) {
  struct sched_param param = {.sched_priority = urgent ? sched_get_priority_min(SCHED_RR) : 0};
  int kind = urgent ? SCHED_RR : SCHED_OTHER;
  is_urgent = sched_setscheduler(0, kind | SCHED_RESET_ON_FORK, &param) == 0 && urgent;
}

/* How often this process ran, and how long it waited for that (proc(5), schedstat); false where it is not told. */
static bool read_waits(uint64_t *waited_ns, uint64_t *times) {
  return sscanf(text_in(schedstat), "%*u %" SCNu64 " %" SCNu64, waited_ns, times) == 2 && *times > 0;
}

static uint64_t times_throttled(void) {
  static const char name[] = "nr_throttled ";
  const char *at = strstr(text_in(quota), name);
  return at == NULL ? 0 : strtoull(at + sizeof name - 1, NULL, 10);
}

static struct {
  uint64_t at_ns, waited_ns, times, throttled;
} last;

void urgency_open(void) {
  schedstat = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
  quota = open_quota();
  setpriority(PRIO_PROCESS, 0, -20);
  last.throttled = times_throttled();
  become(!read_waits(&last.waited_ns, &last.times));
}

void urgency_check(uint64_t now) {
  static uint64_t until_ns;
  uint64_t waited_ns, times;
  if (now - last.at_ns < LOOK_NS || !read_waits(&waited_ns, &times)) return;
  uint64_t throttled = times_throttled();
  bool waits_long = waited_ns - last.waited_ns > (times - last.times) * LONG_WAIT_NS;
  if (waits_long || throttled != last.throttled) until_ns = now + STAYS_NS;
  last.at_ns = now;
  last.waited_ns = waited_ns;
  last.times = times;
  last.throttled = throttled;
  if (is_urgent != (now < until_ns)) become(!is_urgent);
}
