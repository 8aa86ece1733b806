#define _GNU_SOURCE
#include "directory.h"
#include "rules.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is listed and not walked yet is about 2 MiB and 256 open directories at most. */
enum { MAX_DEPTH = 1024, MOST_AHEAD = 16384, MOST_DETAILS = 4096, DIRECTORY_WEIGHT = 64, READ_BYTES = 1 << 15 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t something_to_do = PTHREAD_COND_INITIALIZER, something_done = PTHREAD_COND_INITIALIZER;
/* Directories that are to be listed, the next one of the walk first; and what is listed, but not walked yet. */
static Directory *first_to_do;
static size_t ahead;
static int is_far_ahead;

static void write64(unsigned char *at, uint64_t value) {
  for (int index = 0; index < 8; index += 1) at[index] = (unsigned char)(value >> (8 * index));
}

static uint64_t nanoseconds(struct timespec time) {
  return (uint64_t)((int64_t)time.tv_sec * 1000000000 + time.tv_nsec);
}

void identity_of(const struct stat *seen, unsigned char *identity) {
  write64(identity, seen->st_ino);
  write64(identity + 8, nanoseconds(seen->st_ctim));
  write64(identity + 16, nanoseconds(seen->st_mtim));
  write64(identity + 24, (uint64_t)seen->st_size);
  for (int index = 0; index < 4; index += 1) identity[32 + index] = (unsigned char)(seen->st_mode >> (8 * index));
}

int look_at(int fd, const char *name, unsigned char *identity) {
  struct stat seen;
  if (fstatat(fd, name, &seen, AT_SYMLINK_NOFOLLOW) < 0) return errno;
  if (!S_ISREG(seen.st_mode)) return ENOENT;
  identity_of(&seen, identity);
  return 0;
}

static int compare_entries(const void *left, const void *right, void *names) {
  const Entry *a = left, *b = right;
  const unsigned char *of_a = (const unsigned char *)names + a->at, *of_b = (const unsigned char *)names + b->at;
  size_t common = a->length < b->length ? a->length : b->length;
  int order = memcmp(of_a, of_b, common);
  if (order != 0) return order;
  /* One name is the beginning of the other: what follows it is the end of the path, or a slash. */
  int after_a = a->length > common ? of_a[common] : a->type == DT_DIR ? '/' : 0;
  int after_b = b->length > common ? of_b[common] : b->type == DT_DIR ? '/' : 0;
  return after_a - after_b;
}

typedef struct { size_t used, room, space; } Room;

static void add(Directory *directory, Room *room, const char *name, uint8_t type) {
  size_t length = strlen(name);
  if (room->used + length + 1 > room->room) {
    room->room = (room->room + length + 1) * 2;
    directory->names = must(realloc(directory->names, room->room));
  }
  if (directory->count == room->space) {
    room->space = room->space == 0 ? 32 : room->space * 2;
    directory->entries = must(realloc(directory->entries, room->space * sizeof(Entry)));
  }
  memcpy(directory->names + room->used, name, length + 1);
  directory->entries[directory->count++] = (Entry){ (uint32_t)room->used, (uint16_t)length, type };
  room->used += length + 1;
}

static uint8_t type_of(int fd, const char *name) {
  struct stat seen;
  return fstatat(fd, name, &seen, AT_SYMLINK_NOFOLLOW) == 0 ? (uint8_t)IFTODT(seen.st_mode) : DT_UNKNOWN;
}

/* Reads the names, sorted. Answers 0 or an errno. */
static int read_names(Directory *directory) {
  static _Thread_local _Alignas(struct dirent64) char buffer[READ_BYTES];
  Room room = { 0 };
  ssize_t got;
  while ((got = getdents64(directory->fd, buffer, sizeof buffer)) > 0)
    for (ssize_t at = 0; at < got;) {
      const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);
      at += entry->d_reclen;
      const char *name = entry->d_name;
      if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
      add(directory, &room, name, entry->d_type == DT_UNKNOWN ? type_of(directory->fd, name) : entry->d_type);
    }
  int error = got < 0 ? errno : 0;
  if (directory->count > 1)
    qsort_r(directory->entries, directory->count, sizeof(Entry), compare_entries, directory->names);
  return error;
}

static int open_directory(const Directory *directory) {
  int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  int parent = directory->parent == NULL ? AT_FDCWD : directory->parent->fd;
  const char *name = directory->path + directory->name_at;
  int fd = openat(parent, name, flags | O_NOATIME);
  return fd < 0 && errno == EPERM ? openat(parent, name, flags) : fd;
}

/* A directory in this one, if it is to be entered. */
static Directory *child_of(const Directory *directory, Entry entry) {
  char path[MAX_PATH + 1];
  size_t start = directory->path_length == 1 ? 1 : directory->path_length + 1;
  size_t length = start + entry.length;
  if (length > MAX_PATH) return NULL;
  memcpy(path, directory->path, directory->path_length);
  path[start - 1] = '/';
  memcpy(path + start, directory->names + entry.at, entry.length + 1);
  uint16_t mount = directory->mount;
  if (is_excluded(path, length) || reason_to_pass(path, length, 0, &mount) != 0) return NULL;
  return directory_new(directory, path, length, entry.length, mount);
}

static void list(Directory *directory) {
  directory->fd = directory->depth > MAX_DEPTH ? -1 : open_directory(directory);
  if (directory->fd < 0) {
    directory->open_error = directory->depth > MAX_DEPTH ? EIO : errno;
    return;
  }
  directory->list_error = read_names(directory);
  directory->weight = DIRECTORY_WEIGHT + directory->count;
  if (directory->count > MOST_DETAILS) return;
  int has_children = 0;
  directory->details = must(calloc(directory->count + 1, sizeof(Detail)));
  for (size_t index = 0; index < directory->count; index += 1) {
    Entry entry = directory->entries[index];
    Detail *detail = &directory->details[index];
    if (entry.type == DT_DIR) has_children |= (detail->child = child_of(directory, entry)) != NULL;
    else if (entry.type == DT_REG)
      detail->error = look_at(directory->fd, directory->names + entry.at, detail->identity);
  }
  if (has_children) return;
  close(directory->fd);
  directory->fd = -1;
}

static void take(Directory *directory) {
  directory->state = TAKEN;
  if (directory->before != NULL) directory->before->next = directory->next;
  else if (first_to_do == directory) first_to_do = directory->next;
  if (directory->next != NULL) directory->next->before = directory->before;
}

static Directory *take_next(void) {
  if (ahead >= MOST_AHEAD) is_far_ahead = 1;
  Directory *directory = is_far_ahead ? NULL : first_to_do;
  if (directory != NULL) take(directory);
  return directory;
}

static void finish(Directory *directory) {
  directory->state = DONE;
  ahead += directory->weight;
  for (size_t index = directory->details == NULL ? 0 : directory->count; index > 0; index -= 1) {
    Directory *child = directory->details[index - 1].child;
    if (child == NULL) continue;
    child->next = first_to_do;
    if (first_to_do != NULL) first_to_do->before = child;
    first_to_do = child;
  }
  if (first_to_do != NULL) pthread_cond_signal(&something_to_do);
  pthread_cond_signal(&something_done);
}

/* Lists one that was taken; the lock is held before and behind it. */
static void list_taken(Directory *directory) {
  pthread_mutex_unlock(&lock);
  list(directory);
  pthread_mutex_lock(&lock);
  finish(directory);
}

static void *run_ahead(void *nothing) {
  pthread_mutex_lock(&lock);
  for (;;) {
    Directory *directory = take_next();
    if (directory != NULL) list_taken(directory);
    else pthread_cond_wait(&something_to_do, &lock);
  }
  return nothing;
}

void list_ahead(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run_ahead, NULL) == 0) pthread_detach(thread);
}

Directory *directory_new(const Directory *parent, const char *path, size_t path_length, size_t name_length,
                         uint16_t mount) {
  Directory *directory = must(calloc(1, sizeof(Directory)));
  directory->parent = parent;
  directory->path = must(strndup(path, path_length));
  directory->path_length = path_length;
  directory->name_at = path_length - name_length;
  directory->mount = mount;
  directory->depth = parent == NULL ? 0 : parent->depth + 1;
  directory->fd = -1;
  return directory;
}

void directory_need(Directory *directory) {
  pthread_mutex_lock(&lock);
  while (directory->state != DONE) {
    Directory *mine = directory;
    if (directory->state == TO_DO) take(directory);
    else mine = take_next();
    if (mine != NULL) list_taken(mine);
    else pthread_cond_wait(&something_done, &lock);
  }
  ahead -= directory->weight;
  if (is_far_ahead && ahead < MOST_AHEAD / 2) {
    is_far_ahead = 0;
    pthread_cond_signal(&something_to_do);
  }
  pthread_mutex_unlock(&lock);
}

void directory_free(Directory *directory) {
  if (directory->fd >= 0) close(directory->fd);
  free(directory->path);
  free(directory->names);
  free(directory->entries);
  free(directory->details);
  free(directory);
}
