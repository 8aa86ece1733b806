/*
 * Walks directories and writes what it sees to its standard output, in the byte order of whole paths: the names of
 * one directory are sorted as if those of directories ended with a slash. The records are described in
 * src/walk-stream.ts, the orders on the standard input in src/walk.ts. Where it is given a baseline, it tells what
 * differs and counts the rest. It changes nothing, follows no symbolic link and enters no file system that it was
 * not told to be local.
 */
#define _GNU_SOURCE
#include "baseline.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KIND_FILE = 1, KIND_DIRECTORY, KIND_SKIPPED, KIND_END, KIND_KNOWN, KIND_GONE, KIND_UNCHANGED };
enum {
  REASON_VANISHED = 1, REASON_ACCESS_DENIED, REASON_SYMLINK, REASON_IO_ERROR, REASON_SPECIAL_FILE,
  REASON_EXCLUDED, REASON_PSEUDO_FS, REASON_REMOTE_FS, REASON_DUPLICATE_MOUNT
};
enum { MAX_DEPTH = 1024, HEADER_BYTES = 8, COUNT_BYTES = 4, MOST_COUNTED = 4096, OUT_BYTES = 1 << 16, FLUSH_MS = 20 };

typedef struct { char *path; size_t length; char rule; uint16_t id; } Mount;
typedef struct { uint32_t at; uint16_t length; uint8_t type; } Entry;
typedef struct { char *path; int is_told; } Root;
typedef struct { char *names; size_t used, room; Entry *entries; size_t count, space; } Listing;

static Root *roots;
static char **sorted_roots, **excluded;
static size_t root_count, excluded_count, mount_count;
static Mount *mounts;
static char path[MAX_PATH + 1], before[MAX_PATH + 1];
static size_t path_length, before_length;
static unsigned char out[OUT_BYTES];
static size_t out_used;

static void flush(void) {
  for (size_t done = 0; done < out_used;) {
    ssize_t count = write(1, out + done, out_used - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) exit(74);
    done += (size_t)count;
  }
  out_used = 0;
}

static int64_t milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What was seen goes on its way soon, also where there is little to tell: it may have to be judged. */
static void flush_if_old(void) {
  static int64_t flushed_at;
  int64_t now = milliseconds();
  if (now - flushed_at < FLUSH_MS) return;
  flushed_at = now;
  flush();
}

static void put(uint64_t value, int bytes) {
  for (int index = 0; index < bytes; index += 1) out[out_used++] = (unsigned char)(value >> (8 * index));
}

static uint64_t nanoseconds(struct timespec time) {
  return (uint64_t)((int64_t)time.tv_sec * 1000000000 + time.tv_nsec);
}

/* Files that are as their records have them, not told yet, and the mount that they are on. */
static uint32_t unchanged;
static uint16_t unchanged_mount;

static void put_head(int kind, int reason, uint16_t mount, size_t shared, size_t suffix, size_t body) {
  if (out_used + HEADER_BYTES + suffix + body > OUT_BYTES) flush();
  put((uint64_t)kind, 1);
  put((uint64_t)reason, 1);
  put(mount, 2);
  put(shared, 2);
  put(suffix, 2);
}

static void tell_unchanged(void) {
  if (unchanged == 0) return;
  put_head(KIND_UNCHANGED, 0, unchanged_mount, before_length, 0, COUNT_BYTES);
  put(unchanged, COUNT_BYTES);
  unchanged = 0;
}

static void emit_path(int kind, int reason, uint16_t mount, const char *name, size_t length, const unsigned char *body,
                      size_t body_bytes) {
  tell_unchanged();
  size_t shared = 0;
  while (shared < length && shared < before_length && name[shared] == before[shared]) shared += 1;
  size_t suffix = length - shared;
  put_head(kind, reason, mount, shared, suffix, body_bytes);
  memcpy(out + out_used, name + shared, suffix);
  out_used += suffix;
  memcpy(before + shared, name + shared, suffix);
  before_length = length;
  if (body_bytes > 0) memcpy(out + out_used, body, body_bytes);
  out_used += body_bytes;
}

static void emit(int kind, int reason, uint16_t mount) { emit_path(kind, reason, mount, path, path_length, NULL, 0); }

static void count_unchanged(uint16_t mount) {
  if (mount != unchanged_mount || unchanged == MOST_COUNTED) tell_unchanged();
  unchanged_mount = mount;
  unchanged += 1;
}

static void write64(unsigned char *at, uint64_t value) {
  for (int index = 0; index < 8; index += 1) at[index] = (unsigned char)(value >> (8 * index));
}

static int compare_texts(const void *left, const void *right) {
  return strcmp(*(char *const *)left, *(char *const *)right);
}

/* Whether a path is a root of this walk or below one. */
static int is_in_scope(const char *name, size_t length) {
  char prefix[MAX_PATH + 1];
  const char *key = prefix;
  memcpy(prefix, name, length);
  prefix[length] = 0;
  for (size_t end = length;; end -= 1) {
    if (end == length || name[end] == '/') {
      prefix[end == 0 ? 1 : end] = 0;
      if (end == 0) prefix[0] = '/';
      if (bsearch(&key, sorted_roots, root_count, sizeof(char *), compare_texts) != NULL) return 1;
    }
    if (end == 0) return 0;
  }
}

/* Tells the records before a path, all when there is none: their files were looked for and not met. */
static void tell_gone(Baseline *baseline, const char *until, size_t until_length) {
  for (const Record *old; (old = baseline_peek(baseline)) != NULL; baseline_step(baseline)) {
    if (until != NULL && compare_paths(old->path, old->length, until, until_length) >= 0) return;
    if (is_in_scope(old->path, old->length))
      emit_path(KIND_GONE, 0, baseline_mount(baseline), old->path, old->length, NULL, 0);
  }
}

/* The file at `path`: by its record where it has one that still holds. */
static void tell_file(uint16_t mount, const struct stat *seen, int is_told) {
  unsigned char identity[IDENTITY_BYTES];
  write64(identity, seen->st_ino);
  write64(identity + 8, nanoseconds(seen->st_ctim));
  write64(identity + 16, nanoseconds(seen->st_mtim));
  write64(identity + 24, (uint64_t)seen->st_size);
  for (int index = 0; index < 4; index += 1) identity[32 + index] = (unsigned char)(seen->st_mode >> (8 * index));
  Baseline *baseline = baseline_of(mount);
  int has_record = 0;
  if (baseline != NULL) {
    tell_gone(baseline, path, path_length);
    const Record *old = baseline_peek(baseline);
    if (old != NULL && compare_paths(old->path, old->length, path, path_length) == 0) {
      Likeness likeness = baseline_compare(baseline, old, identity, is_told);
      has_record = 1;
      if (likeness == IS_UNCHANGED) count_unchanged(mount);
      else if (likeness != IS_OTHER)
        emit_path(KIND_KNOWN, likeness == IS_SAMPLED, mount, path, path_length, old->payload,
                  IDENTITY_BYTES + baseline_rest_bytes());
      baseline_step(baseline);
      if (likeness != IS_OTHER) return;
    }
  }
  emit_path(KIND_FILE, has_record, mount, path, path_length, identity, IDENTITY_BYTES);
}

static int reason_of(int error) {
  if (error == ENOENT || error == ENOTDIR || error == ESTALE) return REASON_VANISHED;
  if (error == EACCES || error == EPERM) return REASON_ACCESS_DENIED;
  if (error == ELOOP) return REASON_SYMLINK;
  return REASON_IO_ERROR;
}

static int is_below(const char *prefix, size_t length) {
  if (length == 1 && prefix[0] == '/') return 1;
  return path_length >= length && memcmp(path, prefix, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int is_excluded(void) {
  for (size_t index = 0; index < excluded_count; index += 1)
    if (is_below(excluded[index], strlen(excluded[index]))) return 1;
  return 0;
}

static int compare_mounts(const void *left, const void *right) {
  return strcmp(((const Mount *)left)->path, ((const Mount *)right)->path);
}

static const Mount *mount_at(void) {
  Mount key = { path, path_length, 0, 0 };
  return mount_count == 0 ? NULL : bsearch(&key, mounts, mount_count, sizeof(Mount), compare_mounts);
}

static uint16_t mount_around(void) {
  const Mount *widest = NULL;
  for (size_t index = 0; index < mount_count; index += 1)
    if (is_below(mounts[index].path, mounts[index].length) && (widest == NULL || mounts[index].length >= widest->length))
      widest = &mounts[index];
  return widest == NULL ? 0 : widest->id;
}

static const char *sorted_names;
static int compare_entries(const void *left, const void *right) {
  const Entry *a = left, *b = right;
  size_t common = a->length < b->length ? a->length : b->length;
  int order = memcmp(sorted_names + a->at, sorted_names + b->at, common);
  if (order != 0) return order;
  /* One name is the beginning of the other: what follows it is the end of the path, or a slash. */
  int after_a = a->length > common ? (unsigned char)sorted_names[a->at + common] : a->type == DT_DIR ? '/' : 0;
  int after_b = b->length > common ? (unsigned char)sorted_names[b->at + common] : b->type == DT_DIR ? '/' : 0;
  return after_a - after_b;
}

static void add(Listing *list, const char *name, uint8_t type) {
  size_t length = strlen(name);
  if (list->used + length > list->room) {
    list->room = (list->room + length) * 2;
    list->names = must(realloc(list->names, list->room));
  }
  if (list->count == list->space) {
    list->space = list->space == 0 ? 32 : list->space * 2;
    list->entries = must(realloc(list->entries, list->space * sizeof(Entry)));
  }
  memcpy(list->names + list->used, name, length);
  list->entries[list->count++] = (Entry){ (uint32_t)list->used, (uint16_t)length, type };
  list->used += length;
}

static uint8_t type_of(mode_t mode) { return (uint8_t)IFTODT(mode); }

/* Reads the names of an open directory, sorted. Answers 0 or an errno. */
static int list_directory(int fd, Listing *list) {
  int copy = dup(fd);
  DIR *directory = copy < 0 ? NULL : fdopendir(copy);
  if (directory == NULL) return errno;
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(directory);
    if (entry == NULL) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    uint8_t type = entry->d_type;
    struct stat seen;
    if (type == DT_UNKNOWN && fstatat(fd, entry->d_name, &seen, AT_SYMLINK_NOFOLLOW) == 0) type = type_of(seen.st_mode);
    add(list, entry->d_name, type);
  }
  int error = errno;
  closedir(directory);
  sorted_names = list->names;
  if (list->count > 1) qsort(list->entries, list->count, sizeof(Entry), compare_entries);
  return error;
}

static int open_directory(int parent, const char *name) {
  int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  int fd = openat(parent, name, flags | O_NOATIME);
  return fd < 0 && errno == EPERM ? openat(parent, name, flags) : fd;
}

/* The root that is walked now is one whose files are told in any case. */
static int is_all_told;
static void visit(int parent, const char *name, uint16_t mount, int depth, int is_root);

static void visit_entry(int fd, const char *name, uint8_t type, uint16_t mount, int depth) {
  struct stat seen;
  if (excluded_count > 0 && is_excluded()) emit(KIND_SKIPPED, REASON_EXCLUDED, mount);
  else if (type == DT_DIR) visit(fd, name, mount, depth + 1, 0);
  else if (type == DT_LNK) emit(KIND_SKIPPED, REASON_SYMLINK, mount);
  else if (type != DT_REG) emit(KIND_SKIPPED, type == DT_UNKNOWN ? REASON_VANISHED : REASON_SPECIAL_FILE, mount);
  else if (fstatat(fd, name, &seen, AT_SYMLINK_NOFOLLOW) < 0) emit(KIND_SKIPPED, reason_of(errno), mount);
  else if (!S_ISREG(seen.st_mode)) emit(KIND_SKIPPED, REASON_VANISHED, mount);
  else tell_file(mount, &seen, is_all_told);
}

/* The directory at `path`, which is `name` in `parent`, and everything below it. */
static void visit(int parent, const char *name, uint16_t mount, int depth, int is_root) {
  const Mount *here = mount_at();
  if (here != NULL) {
    mount = here->id;
    int reason = here->rule == 'p' ? REASON_PSEUDO_FS : here->rule == 'r' ? REASON_REMOTE_FS
      : here->rule == 'd' && !is_root ? REASON_DUPLICATE_MOUNT : 0;
    if (reason != 0) { emit(KIND_SKIPPED, reason, mount); return; }
  }
  int fd = depth > MAX_DEPTH ? -1 : open_directory(parent, name);
  if (fd < 0) { emit(KIND_SKIPPED, depth > MAX_DEPTH ? REASON_IO_ERROR : reason_of(errno), mount); return; }
  emit(KIND_DIRECTORY, 0, mount);
  flush_if_old();
  Listing list = { 0 };
  int error = list_directory(fd, &list);
  size_t own_length = path_length;
  for (size_t index = 0; index < list.count; index += 1) {
    Entry entry = list.entries[index];
    size_t start = own_length == 1 ? 1 : own_length + 1;
    int is_too_long = start + entry.length > MAX_PATH;
    if (!is_too_long) {
      path[start - 1] = '/';
      memcpy(path + start, list.names + entry.at, entry.length);
      path_length = start + entry.length;
      path[path_length] = 0;
      char child[256];
      memcpy(child, path + start, entry.length);
      child[entry.length] = 0;
      visit_entry(fd, child, entry.type, mount, depth);
    }
    path_length = own_length;
    path[path_length] = 0;
    if (is_too_long) emit(KIND_SKIPPED, REASON_IO_ERROR, mount);
  }
  if (error != 0) emit(KIND_SKIPPED, reason_of(error), mount);
  free(list.names);
  free(list.entries);
  close(fd);
}

static void visit_root(Root wanted) {
  const char *root = wanted.path;
  is_all_told = wanted.is_told;
  path_length = strlen(root);
  if (path_length > MAX_PATH) return;
  memcpy(path, root, path_length + 1);
  struct stat seen;
  uint16_t mount = mount_around();
  if (lstat(root, &seen) < 0) emit(KIND_SKIPPED, reason_of(errno), mount);
  else if (S_ISDIR(seen.st_mode)) visit(AT_FDCWD, root, mount, 0, 1);
  else if (S_ISREG(seen.st_mode)) tell_file(mount, &seen, is_all_told);
  else emit(KIND_SKIPPED, S_ISLNK(seen.st_mode) ? REASON_SYMLINK : REASON_SPECIAL_FILE, mount);
}

static void keep(char ***list, size_t *count, char *text) {
  *list = must(realloc(*list, (*count + 1) * sizeof(char *)));
  (*list)[(*count)++] = text;
}

static void keep_root(char *text, int is_told) {
  roots = must(realloc(roots, (root_count + 1) * sizeof(Root)));
  roots[root_count] = (Root){ text, is_told };
  keep(&sorted_roots, &root_count, text);
}

/*
 * Orders end with a zero byte: R root, S root whose files are told in any case, X excluded path, M rule (l, p, r or
 * d) number : mount point, B number of a mount : file descriptor of a layer of its baseline, T number of a mount :
 * parts per million of its records that are tried, J what is settled.
 */
static void read_orders(void) {
  char *order = NULL;
  size_t room = 0;
  for (ssize_t length; (length = getdelim(&order, &room, 0, stdin)) > 0;) {
    char *text = must(strdup(order + 1));
    if (order[0] == 'R' || order[0] == 'S') keep_root(text, order[0] == 'S');
    else if (order[0] == 'J') {
      baseline_judge_by(text);
      free(text);
    } else if (order[0] == 'T') {
      baseline_try(text);
      free(text);
    } else if (order[0] == 'B') {
      char *colon = strchr(text, ':');
      if (colon == NULL) exit(64);
      baseline_add((uint16_t)atoi(text), atoi(colon + 1));
      free(text);
    }
    else if (order[0] == 'X') keep(&excluded, &excluded_count, text);
    else if (order[0] == 'M') {
      char *colon = strchr(text, ':');
      if (colon == NULL) exit(64);
      mounts = must(realloc(mounts, (mount_count + 1) * sizeof(Mount)));
      mounts[mount_count++] = (Mount){ colon + 1, strlen(colon + 1), text[0], (uint16_t)atoi(text + 1) };
    } else exit(64);
  }
  free(order);
  if (mount_count > 1) qsort(mounts, mount_count, sizeof(Mount), compare_mounts);
}

int main(void) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  read_orders();
  if (root_count > 1) qsort(sorted_roots, root_count, sizeof(char *), compare_texts);
  for (size_t index = 0; index < root_count; index += 1) visit_root(roots[index]);
  for (size_t index = 0; index < baseline_count(); index += 1) tell_gone(baseline_at(index), NULL, 0);
  path_length = 0;
  emit(KIND_END, 0, 0);
  flush();
  return 0;
}
