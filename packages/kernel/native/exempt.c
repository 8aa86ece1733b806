/* Whom the helper never holds: the agent and what it starts, excluded programs, excluded paths. */
#define _GNU_SOURCE
#include "guard.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAX_EXCLUDED 512u
#define MAX_EXEMPT 8u
#define MAX_ANCESTORS 16

static uint32_t exempt[MAX_EXEMPT], exempt_count;
static struct {
  uint64_t device, inode;
} excluded_exes[MAX_EXCLUDED];
static uint32_t excluded_exe_count;
static char *excluded_paths[MAX_EXCLUDED];
static uint32_t excluded_path_count;

void exempt_pid(uint32_t pid) {
  if (pid > 1 && exempt_count < MAX_EXEMPT) exempt[exempt_count++] = pid;
}

static uint32_t parent_of(uint32_t pid) {
  char path[40], text[512];
  snprintf(path, sizeof path, "/proc/%u/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = 0;
  /* Behind the last parenthesis: a program may put anything into its name (proc(5)). */
  const char *rest = strrchr(text, ')');
  unsigned parent = 0;
  return rest != NULL && sscanf(rest + 1, " %*c %u", &parent) == 1 ? parent : 0;
}

bool is_exempt_pid(uint32_t pid) {
  static uint32_t own;
  if (own == 0) own = (uint32_t)getpid();
  for (uint32_t index = 0; index < exempt_count; index += 1)
    if (exempt[index] == pid) return true;
  return pid == own;
}

/* What the agent starts (dpkg-query, setfattr) must not wait for the agent, which waits for it to start. */
bool is_exempt_process(uint32_t pid) {
  for (int depth = 0; depth < MAX_ANCESTORS && pid > 1; depth += 1, pid = parent_of(pid))
    if (is_exempt_pid(pid)) return true;
  return false;
}

bool is_excluded_exe(uint32_t pid) {
  char path[40];
  struct statx exe;
  if (excluded_exe_count == 0 || pid == 0) return false;
  snprintf(path, sizeof path, "/proc/%u/exe", pid);
  /* As it is known here: a server that does not answer must hold nobody. */
  if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &exe) != 0) return false;
  uint64_t device = makedev(exe.stx_dev_major, exe.stx_dev_minor);
  for (uint32_t index = 0; index < excluded_exe_count; index += 1)
    if (excluded_exes[index].inode == exe.stx_ino && excluded_exes[index].device == device) return true;
  return false;
}

/* Only where the path leads to this very file here: in a container's namespace the same text is another place. */
bool is_excluded_path(const char *path, const struct stat *file) {
  for (uint32_t index = 0; index < excluded_path_count; index += 1) {
    const char *prefix = excluded_paths[index];
    size_t length = strlen(prefix);
    if (strncmp(path, prefix, length) != 0) continue;
    if (path[length] != 0 && path[length] != '/' && prefix[length - 1] != '/') continue;
    struct stat here;
    return lstat(path, &here) == 0 && here.st_ino == file->st_ino && here.st_dev == file->st_dev;
  }
  return false;
}

void exclude_exes(struct cursor *cursor) {
  excluded_exe_count = 0;
  while (cursor->left > 0 && excluded_exe_count < MAX_EXCLUDED) {
    take(cursor, &excluded_exes[excluded_exe_count], sizeof excluded_exes[0]);
    if (cursor->failed) return;
    excluded_exe_count += 1;
  }
}

void exclude_paths(struct cursor *cursor) {
  while (excluded_path_count > 0) free(excluded_paths[--excluded_path_count]);
  while (cursor->left > 0 && excluded_path_count < MAX_EXCLUDED) {
    uint16_t length;
    const uint8_t *text = take_text(cursor, &length);
    if (cursor->failed) return;
    char *copy = length > 0 ? copy_text(text, length) : NULL;
    if (copy != NULL) excluded_paths[excluded_path_count++] = copy;
  }
}
