/*
 * Programs that were just allowed. The kernel refuses writers of a program only some steps after the answer, and on a
 * busy machine a process may wait long between the two. Until it has made these steps the read lease stays, so whoever
 * wants to write the file waits.
 */
#define _GNU_SOURCE
#include "guard.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAX_GRACES 512u
#define CHECK_NS (2 * NS_PER_MS)
/* The kernel breaks a lease by force after 45 s (proc(5), lease-break-time). */
#define LONGEST_NS (30 * NS_PER_S)
/* Processor time after which the steps are made for sure: they take some microseconds. */
#define ENOUGH_NS (1 * NS_PER_MS)

static struct {
  int fd;
  uint32_t pid;
  bool has_runtime;
  uint64_t device, inode, check_ns, until_ns, runtime_ns;
} graces[MAX_GRACES];
static uint32_t grace_count;

bool grace_add(int fd, uint32_t pid, const struct file_key *key) {
  if (grace_count == MAX_GRACES || pid == 0) return false;
  uint64_t now = now_ns();
  graces[grace_count].fd = fd;
  graces[grace_count].pid = pid;
  graces[grace_count].has_runtime = false;
  graces[grace_count].device = key->device;
  graces[grace_count].inode = key->inode;
  graces[grace_count].check_ns = now + CHECK_NS;
  graces[grace_count++].until_ns = now + LONGEST_NS;
  return true;
}

void grace_end(uint32_t pid) {
  for (uint32_t index = grace_count; index > 0; index -= 1)
    if (graces[index - 1].pid == pid) {
      close(graces[index - 1].fd);
      graces[index - 1] = graces[--grace_count];
    }
}

/* Nanoseconds that the process has run (proc(5), schedstat); false when it is gone. */
static bool runtime_of(uint32_t pid, uint64_t *runtime_ns) {
  char path[40], text[64];
  snprintf(path, sizeof path, "/proc/%u/schedstat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return false;
  text[length] = 0;
  *runtime_ns = strtoull(text, NULL, 10);
  return true;
}

static bool has_started(uint32_t index) {
  char path[40];
  struct statx exe;
  uint32_t pid = graces[index].pid;
  snprintf(path, sizeof path, "/proc/%u/exe", pid);
  if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &exe) != 0) return true;
  if (exe.stx_ino == graces[index].inode && makedev(exe.stx_dev_major, exe.stx_dev_minor) == graces[index].device)
    return true;
  /* A script, ld.so, or a start that failed: the program of the process does not tell. */
  uint64_t runtime_ns;
  if (!runtime_of(pid, &runtime_ns)) return true;
  if (!graces[index].has_runtime) {
    graces[index].has_runtime = true;
    graces[index].runtime_ns = runtime_ns;
    return false;
  }
  return runtime_ns - graces[index].runtime_ns >= ENOUGH_NS;
}

uint64_t grace_check(uint64_t now) {
  uint64_t next = UINT64_MAX;
  for (uint32_t index = grace_count; index > 0; index -= 1) {
    uint32_t at = index - 1;
    if (graces[at].until_ns <= now || (graces[at].check_ns <= now && has_started(at))) {
      close(graces[at].fd);
      graces[at] = graces[--grace_count];
      continue;
    }
    if (graces[at].check_ns <= now) graces[at].check_ns = now + CHECK_NS;
    if (graces[at].check_ns < next) next = graces[at].check_ns;
  }
  return next;
}
