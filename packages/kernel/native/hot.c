/*
 * Files that are started again and again: the kernel lets them pass by itself, through an ignore mark (fanotify_mark(2)).
 * The kernel takes such a mark back on write(2) only, and a mapped writer would go unseen. So each of these files is
 * kept open with a read lease: whoever opens it for writing waits until the mark is gone (fcntl(2), F_SETLEASE).
 * An open file keeps its file system from being unmounted, so this is for those that stay mounted.
 */
#define _GNU_SOURCE
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HOT 1024u

static struct {
  int fd;
  struct file_key key;
} hot[MAX_HOT];
static uint32_t hot_count, next_victim, max_hot = MAX_HOT;
static int group = -1;
static uint64_t event_mask;

int hot_open(int fanotify_group, uint64_t mask) {
  sigset_t signals;
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 8 < max_hot) max_hot = (uint32_t)(files.rlim_cur / 8);
  group = fanotify_group;
  event_mask = mask;
  sigemptyset(&signals);
  sigaddset(&signals, SIGRTMIN);
  /* Comes in its place when too many wait. */
  sigaddset(&signals, SIGIO);
  signal(SIGIO, SIG_DFL);
  if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0) return -1;
  return signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void drop(uint32_t index) {
  fanotify_mark(group, FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK, event_mask, hot[index].fd, NULL);
  fcntl(hot[index].fd, F_SETLEASE, F_UNLCK);
  close(hot[index].fd);
  hot[index] = hot[--hot_count];
}

bool lease_take(int fd) {
  return fcntl(fd, F_SETSIG, SIGRTMIN) == 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
}

bool hot_add(int fd, const struct file_key *key) {
  struct stat stat;
  if (!lease_take(fd)) return false;
  /* Nobody writes from here on, and this is the content that was judged. */
  struct file_key now = fstat(fd, &stat) == 0 ? key_of(&stat) : (struct file_key){0};
  if (!key_equal(&now, key) ||
      fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, event_mask, fd, NULL) != 0) {
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
  }
  if (hot_count == max_hot) drop(next_victim++ % max_hot);
  hot[hot_count].fd = fd;
  hot[hot_count++].key = *key;
  return true;
}

void hot_clear(void) {
  while (hot_count > 0) drop(hot_count - 1);
}

void hot_forget(const struct file_key *key) {
  for (uint32_t index = 0; index < hot_count; index += 1)
    if (hot[index].key.inode == key->inode && hot[index].key.device == key->device) {
      drop(index);
      return;
    }
}

static bool drop_file(int fd) {
  for (uint32_t index = 0; index < hot_count; index += 1)
    if (hot[index].fd == fd) {
      drop(index);
      return true;
    }
  return false;
}

void hot_on_signal(int signals, void (*on_other)(int fd)) {
  struct signalfd_siginfo info;
  while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
    if (info.ssi_signo == SIGIO) {
      hot_clear();
      on_other(-1);
    } else if (!drop_file(info.ssi_fd)) {
      on_other(info.ssi_fd);
    }
  }
}

/* A deleted file would keep its space on the disk for as long as it is open. */
void hot_drop_deleted(void) {
  for (uint32_t index = hot_count; index > 0; index -= 1) {
    struct stat stat;
    if (fstat(hot[index - 1].fd, &stat) != 0 || stat.st_nlink == 0) drop(index - 1);
  }
}
