/*
 * Walks directories and writes what it sees to its standard output, in the byte order of whole paths. The records are
 * described in src/walk-stream.ts, the orders on the standard input in src/walk.ts. Where it is given a baseline, it
 * tells what differs and counts the rest. It changes nothing, follows no symbolic link and enters no file system that
 * it was not told to be local.
 */
#define _GNU_SOURCE
#include "baseline.h"
#include "directory.h"
#include "rules.h"
#include "stream.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct { char *path; int is_told; } Root;

static Root *roots;
static char **sorted_roots;
static size_t root_count;
static char path[MAX_PATH + 1];
static size_t path_length;
/* The root that is walked now is one whose files are told in any case. */
static int is_all_told;

static void skip(int reason, uint16_t mount) { emit(KIND_SKIPPED, reason, mount, path, path_length, NULL, 0); }

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
      emit(KIND_GONE, 0, baseline_mount(baseline), old->path, old->length, NULL, 0);
  }
}

/* The file at `path`: by its record where it has one that still holds. */
static void tell_file(uint16_t mount, const unsigned char *identity) {
  Baseline *baseline = baseline_of(mount);
  int has_record = 0;
  if (baseline != NULL) {
    tell_gone(baseline, path, path_length);
    const Record *old = baseline_peek(baseline);
    if (old != NULL && compare_paths(old->path, old->length, path, path_length) == 0) {
      Likeness likeness = baseline_compare(baseline, old, identity, is_all_told);
      has_record = 1;
      if (likeness == IS_UNCHANGED) count_unchanged(mount);
      else if (likeness != IS_OTHER)
        emit(KIND_KNOWN, likeness == IS_SAMPLED, mount, path, path_length, old->payload,
             IDENTITY_BYTES + baseline_rest_bytes());
      baseline_step(baseline);
      if (likeness != IS_OTHER) return;
    }
  }
  emit(KIND_FILE, has_record, mount, path, path_length, identity, IDENTITY_BYTES);
}

static void visit(Directory *directory);

static void visit_file(const Directory *around, const char *name, const Detail *detail) {
  unsigned char seen[IDENTITY_BYTES];
  int error = detail == NULL ? look_at(around->fd, name, seen) : detail->error;
  if (error != 0) skip(reason_of(error), around->mount);
  else tell_file(around->mount, detail == NULL ? seen : detail->identity);
}

static void visit_child(const Directory *around, size_t name_length, Directory *child) {
  uint16_t mount = around->mount;
  int reason = child != NULL ? 0 : reason_to_pass(path, path_length, 0, &mount);
  if (reason != 0) skip(reason, mount);
  else visit(child != NULL ? child : directory_new(around, path, path_length, name_length, mount));
}

static void visit_entry(const Directory *around, size_t index) {
  Entry entry = around->entries[index];
  const Detail *detail = around->details == NULL ? NULL : &around->details[index];
  uint16_t mount = around->mount;
  if (is_excluded(path, path_length)) skip(REASON_EXCLUDED, mount);
  else if (entry.type == DT_DIR) visit_child(around, entry.length, detail == NULL ? NULL : detail->child);
  else if (entry.type == DT_REG) visit_file(around, around->names + entry.at, detail);
  else if (entry.type == DT_LNK) skip(REASON_SYMLINK, mount);
  else skip(entry.type == DT_UNKNOWN ? REASON_VANISHED : REASON_SPECIAL_FILE, mount);
}

static void visit_entries(const Directory *directory) {
  size_t own_length = path_length, start = own_length == 1 ? 1 : own_length + 1;
  for (size_t index = 0; index < directory->count; index += 1) {
    Entry entry = directory->entries[index];
    int is_too_long = start + entry.length > MAX_PATH;
    if (!is_too_long) {
      path[start - 1] = '/';
      memcpy(path + start, directory->names + entry.at, entry.length + 1);
      path_length = start + entry.length;
      visit_entry(directory, index);
    }
    path_length = own_length;
    path[own_length] = 0;
    if (is_too_long) skip(REASON_IO_ERROR, directory->mount);
  }
}

/* The directory at `path` and everything below it; frees it. */
static void visit(Directory *directory) {
  directory_need(directory);
  if (directory->open_error != 0) skip(reason_of(directory->open_error), directory->mount);
  else {
    emit(KIND_DIRECTORY, 0, directory->mount, path, path_length, NULL, 0);
    flush_if_old();
    visit_entries(directory);
    if (directory->list_error != 0) skip(reason_of(directory->list_error), directory->mount);
  }
  directory_free(directory);
}

static void visit_root(Root wanted) {
  is_all_told = wanted.is_told;
  path_length = strlen(wanted.path);
  if (path_length > MAX_PATH) return;
  memcpy(path, wanted.path, path_length + 1);
  uint16_t mount = mount_around(path, path_length);
  struct stat seen;
  if (lstat(path, &seen) < 0) skip(reason_of(errno), mount);
  else if (S_ISDIR(seen.st_mode)) {
    int reason = reason_to_pass(path, path_length, 1, &mount);
    if (reason != 0) skip(reason, mount);
    else visit(directory_new(NULL, path, path_length, path_length, mount));
  } else if (S_ISREG(seen.st_mode)) {
    unsigned char identity[IDENTITY_BYTES];
    identity_of(&seen, identity);
    tell_file(mount, identity);
  } else skip(S_ISLNK(seen.st_mode) ? REASON_SYMLINK : REASON_SPECIAL_FILE, mount);
}

static void keep_root(char *text, int is_told) {
  roots = must(realloc(roots, (root_count + 1) * sizeof(Root)));
  sorted_roots = must(realloc(sorted_roots, (root_count + 1) * sizeof(char *)));
  roots[root_count] = (Root){ text, is_told };
  sorted_roots[root_count++] = text;
}

/* "number of a mount:file descriptor" of a layer of its baseline. */
static int add_layer(const char *text) {
  const char *colon = strchr(text, ':');
  if (colon != NULL) baseline_add((uint16_t)atoi(text), atoi(colon + 1));
  return colon != NULL;
}

/*
 * Orders end with a zero byte: R root, S root whose files are told in any case, X excluded path, M rule (l, p, r or
 * d) number : mount point, B layer of a baseline, T number of a mount : parts per million of its records that are
 * tried, J what is settled, A list ahead in a second thread.
 */
static void read_orders(void) {
  char *order = NULL;
  size_t room = 0;
  for (ssize_t length; (length = getdelim(&order, &room, 0, stdin)) > 0;) {
    char kind = order[0], *text = order + 1;
    if (strchr("RSXM", kind) != NULL) text = must(strdup(text));
    if (kind == 'R' || kind == 'S') keep_root(text, kind == 'S');
    else if (kind == 'X') rules_exclude(text);
    else if (kind == 'J') baseline_judge_by(text);
    else if (kind == 'T') baseline_try(text);
    else if (kind == 'A') list_ahead();
    else if ((kind != 'M' || !rules_mount(text)) && (kind != 'B' || !add_layer(text))) exit(64);
  }
  free(order);
  rules_end();
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
  emit(KIND_END, 0, 0, "", 0, NULL, 0);
  flush();
  return 0;
}
