/* The notification group: the paths that change, each told once until a new stretch begins (fanotify(7)). */
#define _GNU_SOURCE
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define CHANGES                                                                                       \
  (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_ONDIR)
/* While events wait in the kernel, equal ones are merged there: a busy log costs one event a round. */
#define ROUND_MS 50
#define MAX_FILE_SYSTEMS 256u
/* 2^19 hashes of paths, 4 MiB: three quarters of it are told before a stretch is too long. */
#define SEEN (1u << 19)
#define MAX_SEEN (SEEN / 4 * 3)
#define BATCH 65536u
#define MAX_PATH 8192u

enum { GAP_OVERFLOW = 1, GAP_TOO_MANY = 2 };

static struct {
  uint64_t id;
  char *path;
  int fd;
} file_systems[MAX_FILE_SYSTEMS];
static uint32_t file_system_count;
static uint64_t *seen;
static uint32_t seen_count;
static bool is_too_long;
static uint64_t seed[2];
static uint8_t batch[BATCH];
static size_t batch_length;
static int group = -1;

static void say_gap(uint32_t reason) {
  frame_send_waiting(AGENT_FD, OUT_GAP, &reason, sizeof reason, NULL, 0);
}

static uint64_t rotate(uint64_t value, int by) { return value << by | value >> (64 - by); }

/* SipHash-1-3 (Aumasson, Bernstein), keyed at the start: nobody can make two paths collide on purpose. */
static uint64_t hash_path(const uint8_t *bytes, size_t length) {
  uint64_t v0 = seed[0] ^ 0x736f6d6570736575ull, v1 = seed[1] ^ 0x646f72616e646f6dull;
  uint64_t v2 = seed[0] ^ 0x6c7967656e657261ull, v3 = seed[1] ^ 0x7465646279746573ull;
#define ROUND                                                                                    \
  v0 += v1, v1 = rotate(v1, 13) ^ v0, v0 = rotate(v0, 32), v2 += v3, v3 = rotate(v3, 16) ^ v2,   \
      v0 += v3, v3 = rotate(v3, 21) ^ v0, v2 += v1, v1 = rotate(v1, 17) ^ v2, v2 = rotate(v2, 32)
  size_t at = 0;
  for (; at + 8 <= length; at += 8) {
    uint64_t word;
    memcpy(&word, bytes + at, 8);
    v3 ^= word;
    ROUND;
    v0 ^= word;
  }
  uint64_t last = (uint64_t)length << 56;
  memcpy(&last, bytes + at, length - at);
  v3 ^= last;
  ROUND;
  v0 ^= last;
  v2 ^= 0xff;
  ROUND;
  ROUND;
  ROUND;
#undef ROUND
  return v0 ^ v1 ^ v2 ^ v3;
}

/* Whether this is the first time in this stretch. */
static bool is_first(const uint8_t *path, size_t length) {
  uint64_t hash = hash_path(path, length);
  if (hash == 0) hash = 1;
  for (uint32_t index = hash & (SEEN - 1);; index = (index + 1) & (SEEN - 1)) {
    if (seen[index] == hash) return false;
    if (seen[index] != 0) continue;
    seen[index] = hash;
    seen_count += 1;
    return true;
  }
}

static void flush(void) {
  if (batch_length > 0) frame_send_waiting(AGENT_FD, OUT_CHANGED, batch, batch_length, NULL, 0);
  batch_length = 0;
}

static void tell(const uint8_t *path, size_t length) {
  if (is_too_long || !is_first(path, length)) return;
  if (seen_count >= MAX_SEEN) {
    is_too_long = true;
    say_gap(GAP_TOO_MANY);
    return;
  }
  uint16_t short_length = (uint16_t)length;
  if (batch_length + sizeof short_length + length > BATCH) flush();
  memcpy(batch + batch_length, &short_length, sizeof short_length);
  memcpy(batch + batch_length + sizeof short_length, path, length);
  batch_length += sizeof short_length + length;
}

/* The directory of a handle as this process sees it. A file system is held open for one round only: it may be unmounted. */
static size_t directory_of(const void *fsid, struct file_handle *handle, char *into) {
  uint64_t id;
  memcpy(&id, fsid, sizeof id);
  for (uint32_t index = 0; index < file_system_count; index += 1) {
    if (file_systems[index].id != id) continue;
    if (file_systems[index].fd < 0)
      file_systems[index].fd = open(file_systems[index].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int directory = open_by_handle_at(file_systems[index].fd, handle, O_PATH | O_CLOEXEC);
    if (directory < 0) return 0;
    size_t length = path_of(directory, into, MAX_PATH);
    close(directory);
    return length;
  }
  return 0;
}

static uint8_t last_place[256];
static size_t last_length;

static void on_info(const struct fanotify_event_info_fid *info) {
  static char path[MAX_PATH + 512];
  static size_t path_length;
  size_t room = info->hdr.len - sizeof *info;
  struct file_handle *handle = (struct file_handle *)info->handle;
  if (room < sizeof *handle || room - sizeof *handle <= handle->handle_bytes) return;
  const char *name = (const char *)handle->f_handle + handle->handle_bytes;
  size_t name_length = strnlen(name, room - sizeof *handle - handle->handle_bytes);
  if (name_length > 255) return;
  /* Events come in runs of one directory: its file system and handle lie side by side. */
  const uint8_t *place = (const uint8_t *)info + sizeof info->hdr;
  size_t place_length = sizeof info->fsid + sizeof *handle + handle->handle_bytes;
  if (place_length != last_length || memcmp(last_place, place, place_length) != 0) {
    path_length = directory_of(&info->fsid, handle, path);
    last_length = place_length <= sizeof last_place ? place_length : 0;
    memcpy(last_place, place, last_length);
  }
  /* A directory that is gone has nothing to scan. */
  if (path_length == 0 || path[0] != '/') return;
  size_t length = path_length;
  if (name_length > 0 && !(name_length == 1 && name[0] == '.')) {
    if (length > 1) path[length++] = '/';
    memcpy(path + length, name, name_length);
    length += name_length;
  }
  tell((const uint8_t *)path, length);
}

static void on_change(const uint8_t *at, const uint8_t *end) {
  while (at + sizeof(struct fanotify_event_info_header) <= end) {
    const struct fanotify_event_info_fid *info = (const void *)at;
    if (info->hdr.len < sizeof info->hdr || at + info->hdr.len > end) return;
    if (info->hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME && info->hdr.len > sizeof *info) on_info(info);
    at += info->hdr.len;
  }
}

/* Until nothing is left in the kernel. A directory may have been renamed since the last round: it is asked for anew. */
static void read_events(void) {
  static _Alignas(8) uint8_t buffer[262144];
  last_length = 0;
  for (;;) {
    ssize_t length = read(group, buffer, sizeof buffer);
    if (length <= 0) break;
    const uint8_t *at = buffer, *end = buffer + length;
    while (at + FAN_EVENT_METADATA_LEN <= end) {
      /* Copied: events are as long as their names, so the next one may lie anywhere. */
      struct fanotify_event_metadata event;
      memcpy(&event, at, sizeof event);
      if (event.event_len < sizeof event || at + event.event_len > end) break;
      if (event.mask & FAN_Q_OVERFLOW) say_gap(GAP_OVERFLOW);
      else on_change(at + event.metadata_len, at + event.event_len);
      at += event.event_len;
    }
  }
  for (uint32_t index = 0; index < file_system_count; index += 1) {
    if (file_systems[index].fd >= 0) close(file_systems[index].fd);
    file_systems[index].fd = -1;
  }
}

/* Whether handles of this file system lead back to files: they do not on every one (overlay, for example). */
static int check_handles(const char *path) {
  union {
    struct file_handle handle;
    uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  } space = {.handle.handle_bytes = MAX_HANDLE_SZ};
  int mount_id;
  int mount = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (mount < 0) return errno;
  int error = name_to_handle_at(mount, "", &space.handle, &mount_id, AT_EMPTY_PATH) == 0 ? 0 : errno;
  if (error == 0) {
    int again = open_by_handle_at(mount, &space.handle, O_PATH | O_CLOEXEC);
    error = again < 0 ? errno : 0;
    if (again >= 0) close(again);
  }
  close(mount);
  return error;
}

static int mark(const char *path) {
  struct statfs about;
  if (statfs(path, &about) != 0) return errno;
  uint64_t id;
  memcpy(&id, &about.f_fsid, sizeof id);
  int error = check_handles(path);
  if (error != 0) return error;
  if (fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, CHANGES, AT_FDCWD, path) != 0) return errno;
  uint32_t index = 0;
  while (index < file_system_count && file_systems[index].id != id) index += 1;
  if (index == MAX_FILE_SYSTEMS) return ENOSPC;
  if (index == file_system_count) file_systems[file_system_count++].fd = -1;
  else free(file_systems[index].path);
  file_systems[index].id = id;
  file_systems[index].path = strdup(path);
  return file_systems[index].path == NULL ? ENOMEM : 0;
}

bool journal_frame(const struct frame *frame) {
  struct cursor cursor = {.at = frame->payload, .left = frame->length};
  if (frame->type == IN_MARK) {
    uint16_t length;
    const uint8_t *text = take_text(&cursor, &length);
    char path[4096];
    if (cursor.failed || length >= sizeof path) return false;
    memcpy(path, text, length);
    path[length] = 0;
    say_marked(mark(path), path, length, true);
    return true;
  }
  if (frame->type != IN_SYNC && frame->type != IN_STRETCH) return false;
  uint32_t token;
  take(&cursor, &token, sizeof token);
  if (cursor.failed) return false;
  read_events();
  if (frame->type == IN_STRETCH) {
    memset(seen, 0, SEEN * sizeof *seen);
    seen_count = 0;
    is_too_long = false;
  }
  flush();
  return frame_send_waiting(AGENT_FD, OUT_SYNCED, &token, sizeof token, NULL, 0);
}

static bool read_agent(void) {
  static struct frame_reader reader;
  struct frame frame;
  if (frame_fill(&reader, AGENT_FD) < 0) return false;
  for (;;) {
    int found = frame_next(&reader, &frame);
    if (found == 0) return true;
    if (found < 0 || !journal_frame(&frame)) return false;
  }
}

int run_journal(void) {
  group = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
  int error = group < 0 ? errno : 0;
  seen = calloc(SEEN, sizeof *seen);
  if (error == 0 && (seen == NULL || getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)) error = ENOMEM;
  say_hello(error);
  if (error != 0) return 1;
  struct pollfd fds[3] = {{.fd = AGENT_FD, .events = POLLIN},
                          {.fd = watch_mounts(), .events = POLLPRI},
                          {.fd = group, .events = POLLIN}};
  for (;;) {
    if (poll(fds, 3, -1) < 0 && errno != EINTR) return 1;
    if (fds[1].revents != 0) frame_send_waiting(AGENT_FD, OUT_MOUNTS, NULL, 0, NULL, 0);
    if (fds[0].revents != 0 && !read_agent()) return 0;
    if (fds[2].revents == 0) continue;
    /* Lets more come together, but hears the agent meanwhile. */
    if (poll(fds, 1, ROUND_MS) > 0 && !read_agent()) return 0;
    read_events();
    flush();
  }
}
