/*
 * Programs that were just allowed. The kernel refuses writers of a program only some steps after the answer, and on a
 * busy machine a process may wait long between the two. Until it has made these steps a read lease stays, so whoever
 * wants to write the file waits. Starts of one file share it: while it lasts, nobody has written the file.
 */
#define _GNU_SOURCE
#include "permission.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAX_HELD 256u
#define MAX_STARTS 512u
/* When a start is looked at first: soon where an open file may keep somebody from unmounting, or from writing. */
#define CHECK_NS (2 * NS_PER_MS)
#define LASTING_CHECK_NS (16 * NS_PER_MS)
#define MAX_CHECK_NS (64 * NS_PER_MS)
/* The kernel breaks a lease by force after 45 s (proc(5), lease-break-time). */
#define LONGEST_NS (30 * NS_PER_S)
/* Processor time after which the steps are made for sure: they take some microseconds. */
#define ENOUGH_NS (1 * NS_PER_MS)

/* A file with its lease. */
struct held {
  struct file_key key;
  int fd;
  uint32_t starts;
  /* Somebody waits to write it. */
  bool is_wanted;
};

struct start {
  struct held *file;
  uint32_t pid;
  bool has_runtime;
  uint64_t pause_ns, check_ns, until_ns, runtime_ns;
};

static struct held files[MAX_HELD];
static struct start starts[MAX_STARTS];
static uint32_t top_file, start_count;

static void start_add(struct held *file, uint32_t pid) {
  uint64_t now = now_ns();
  uint64_t pause_ns = is_lasting(file->key.device) ? LASTING_CHECK_NS : CHECK_NS;
  starts[start_count++] = (struct start){
      .file = file, .pid = pid, .pause_ns = pause_ns, .check_ns = now + pause_ns, .until_ns = now + LONGEST_NS};
  file->starts += 1;
}

static void start_drop(uint32_t index) {
  struct held *file = starts[index].file;
  starts[index] = starts[--start_count];
  file->starts -= 1;
  if (file->starts == 0) close(file->fd);
  while (top_file > 0 && files[top_file - 1].starts == 0) top_file -= 1;
}

bool grace_join(const struct file_key *key, uint32_t pid) {
  if (start_count == MAX_STARTS || pid == 0) return false;
  for (uint32_t index = 0; index < top_file; index += 1) {
    struct held *file = &files[index];
    if (file->starts == 0 || file->is_wanted || !key_equal(&file->key, key)) continue;
    start_add(file, pid);
    return true;
  }
  return false;
}

bool grace_add(int fd, uint32_t pid, const struct file_key *key) {
  if (start_count == MAX_STARTS || pid == 0) return false;
  uint32_t index = 0;
  while (index < top_file && files[index].starts > 0) index += 1;
  if (index == MAX_HELD) return false;
  if (index == top_file) top_file += 1;
  files[index] = (struct held){.key = *key, .fd = fd};
  start_add(&files[index], pid);
  return true;
}

void grace_on_lease_break(int fd) {
  for (uint32_t index = 0; index < top_file; index += 1)
    if (fd < 0 || files[index].fd == fd) files[index].is_wanted = true;
  for (uint32_t index = 0; index < start_count; index += 1)
    if (starts[index].file->is_wanted) starts[index].check_ns = 0;
}

/* A second thread may start something, or use the processor, while the first one waits (proc(5): links of task). */
static bool has_one_thread(uint32_t pid) {
  char path[40];
  struct stat tasks;
  snprintf(path, sizeof path, "/proc/%u/task", pid);
  return stat(path, &tasks) != 0 || tasks.st_nlink <= 3;
}

void grace_end(uint32_t pid) {
  for (uint32_t index = start_count; index > 0; index -= 1)
    if (starts[index - 1].pid == pid && has_one_thread(pid)) start_drop(index - 1);
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

static bool has_started(struct start *start) {
  char path[40];
  struct statx exe;
  /* Most are over by now, and this is the quickest question. */
  if (kill((pid_t)start->pid, 0) != 0 && errno == ESRCH) return true;
  snprintf(path, sizeof path, "/proc/%u/exe", start->pid);
  if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &exe) != 0) return true;
  const struct file_key *key = &start->file->key;
  if (exe.stx_ino == key->inode && makedev(exe.stx_dev_major, exe.stx_dev_minor) == key->device) return true;
  /* A script, ld.so, or a start that failed: the program of the process does not tell. */
  uint64_t runtime_ns;
  if (!runtime_of(start->pid, &runtime_ns)) return true;
  if (!start->has_runtime) {
    start->has_runtime = true;
    start->runtime_ns = runtime_ns;
    return false;
  }
  return runtime_ns - start->runtime_ns >= ENOUGH_NS && has_one_thread(start->pid);
}

uint64_t grace_check(uint64_t now) {
  uint64_t next = UINT64_MAX;
  for (uint32_t index = start_count; index > 0; index -= 1) {
    struct start *start = &starts[index - 1];
    if (start->until_ns <= now || (start->check_ns <= now && has_started(start))) {
      start_drop(index - 1);
      continue;
    }
    if (start->check_ns <= now) {
      start->pause_ns = start->file->is_wanted ? CHECK_NS : earlier(2 * start->pause_ns, MAX_CHECK_NS);
      start->check_ns = now + start->pause_ns;
    }
    next = earlier(next, start->check_ns);
  }
  return next;
}
