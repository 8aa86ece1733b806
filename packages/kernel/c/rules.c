#include "rules.h"
#include <stdlib.h>
#include <string.h>

typedef struct { char *path; size_t length; char rule; uint16_t id; } Mount;

static char **excluded;
static Mount *mounts;
static size_t excluded_count, mount_count;

void rules_exclude(char *path) {
  excluded = must(realloc(excluded, (excluded_count + 1) * sizeof(char *)));
  excluded[excluded_count++] = path;
}

int rules_mount(char *order) {
  char *colon = strchr(order, ':');
  if (colon == NULL) return 0;
  mounts = must(realloc(mounts, (mount_count + 1) * sizeof(Mount)));
  mounts[mount_count++] = (Mount){ colon + 1, strlen(colon + 1), order[0], (uint16_t)atoi(order + 1) };
  return 1;
}

static int compare_mounts(const void *left, const void *right) {
  return strcmp(((const Mount *)left)->path, ((const Mount *)right)->path);
}

void rules_end(void) {
  if (mount_count > 1) qsort(mounts, mount_count, sizeof(Mount), compare_mounts);
}

static int is_below(const char *path, size_t path_length, const char *prefix, size_t length) {
  if (length == 1 && prefix[0] == '/') return 1;
  return path_length >= length && memcmp(path, prefix, length) == 0 && (path[length] == '/' || path[length] == 0);
}

int is_excluded(const char *path, size_t length) {
  for (size_t index = 0; index < excluded_count; index += 1)
    if (is_below(path, length, excluded[index], strlen(excluded[index]))) return 1;
  return 0;
}

uint16_t mount_around(const char *path, size_t length) {
  const Mount *widest = NULL;
  for (const Mount *mount = mounts; mount < mounts + mount_count; mount += 1)
    if (is_below(path, length, mount->path, mount->length) && (widest == NULL || mount->length >= widest->length))
      widest = mount;
  return widest == NULL ? 0 : widest->id;
}

int reason_to_pass(const char *path, size_t length, int is_root, uint16_t *mount) {
  Mount key = { (char *)path, length, 0, 0 };
  const Mount *here = mount_count == 0 ? NULL : bsearch(&key, mounts, mount_count, sizeof(Mount), compare_mounts);
  if (here == NULL) return 0;
  *mount = here->id;
  if (here->rule == 'p') return REASON_PSEUDO_FS;
  if (here->rule == 'r') return REASON_REMOTE_FS;
  return here->rule == 'd' && !is_root ? REASON_DUPLICATE_MOUNT : 0;
}
