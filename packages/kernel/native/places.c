/* What the file systems promise about their files: whether they stay, and what their times tell. */
#define _GNU_SOURCE
#include "permission.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>

#define MAX_LASTING 32u
#define MAX_TYPES 16u
/* How long a change may go unnoticed in the times of a file: two ticks of the slowest clock (HZ=100). */
#define COARSE_NS (20 * NS_PER_MS)

static bool has_fine_times;
static uint64_t lasting_devices[MAX_LASTING];
static uint32_t lasting_count;
/* The types of the devices that were asked for last. */
static struct {
  uint64_t device;
  long type;
} types[MAX_TYPES];
static uint32_t type_count, next_type;

static bool is_kernel_at_least(unsigned major, unsigned minor) {
  struct utsname name;
  unsigned have_major = 0, have_minor = 0;
  if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &have_major, &have_minor) != 2) return false;
  return have_major > major || (have_major == major && have_minor >= minor);
}

void places_open(void) { has_fine_times = is_kernel_at_least(6, 13); }

void place_marked(const char *path, bool lasts) {
  struct stat stat;
  type_count = 0;
  if (lasts && lasting_count < MAX_LASTING && lstat(path, &stat) == 0 && !is_lasting(stat.st_dev))
    lasting_devices[lasting_count++] = stat.st_dev;
}

bool is_lasting(uint64_t device) {
  for (uint32_t index = 0; index < lasting_count; index += 1)
    if (lasting_devices[index] == device) return true;
  return false;
}

static long file_system_of(int fd, uint64_t device) {
  for (uint32_t index = 0; index < type_count; index += 1)
    if (types[index].device == device) return types[index].type;
  struct statfs about;
  if (fstatfs(fd, &about) != 0) return 0;
  uint32_t place = type_count < MAX_TYPES ? type_count++ : next_type++ % MAX_TYPES;
  types[place].device = device;
  types[place].type = (long)about.f_type;
  return types[place].type;
}

bool is_blind(int fd, uint64_t device) {
  long type = file_system_of(fd, device);
  return type == TMPFS_MAGIC || type == RAMFS_MAGIC;
}

/*
 * Whether a change after now would show in the times. Kernels from 6.13 on give a file whose times were looked at a
 * finer stamp at its next change, on these file systems (Documentation/filesystems/multigrain-ts.rst).
 */
bool is_settled(int fd, const struct stat *stat) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t age = (now.tv_sec - stat->st_ctim.tv_sec) * (int64_t)NS_PER_S + now.tv_nsec - stat->st_ctim.tv_nsec;
  /* A time in the future says nothing about its age. */
  if (age < 0 || age > (int64_t)COARSE_NS) return true;
  if (!has_fine_times) return false;
  long type = file_system_of(fd, stat->st_dev);
  return type == EXT4_SUPER_MAGIC || type == TMPFS_MAGIC || type == XFS_SUPER_MAGIC || type == BTRFS_SUPER_MAGIC;
}

/*
 * Whether somebody has the file open for writing: a read lease is refused then (fcntl(2), F_SETLEASE). This sees
 * mapped writers as well, whose stores into a page that is dirty already change no time of the file.
 */
bool has_writers(int fd) {
  if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN;
}
