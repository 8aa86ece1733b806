/* What the agent tells the permission group. */
#define _GNU_SOURCE
#include "permission.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/fanotify.h>

uint64_t event_mask = FAN_OPEN_EXEC_PERM;

bool permission_frame(const struct frame *frame) {
  struct cursor cursor = {.at = frame->payload, .left = frame->length};
  if (frame->type == IN_MARK) {
    uint16_t length;
    const uint8_t *text = take_text(&cursor, &length);
    uint8_t lasts;
    take(&cursor, &lasts, sizeof lasts);
    char *path = cursor.failed ? NULL : copy_text(text, length);
    if (path == NULL) return false;
    place_marked(path, lasts != 0);
    int done = fanotify_mark(permission_group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, event_mask, AT_FDCWD, path);
    say_marked(done == 0 ? 0 : errno, path, length, false);
    free(path);
  } else if (frame->type == IN_POLICY) {
    uint8_t flags[2];
    take(&cursor, flags, sizeof flags);
    uint32_t budget_ms;
    uint64_t max_judge_bytes;
    take(&cursor, &budget_ms, sizeof budget_ms);
    take(&cursor, &max_judge_bytes, sizeof max_judge_bytes);
    if (cursor.failed) return false;
    policy.denies_late = flags[0] != 0;
    policy.holds_large = flags[1] != 0;
    policy.budget_ms = budget_ms;
    policy.max_judge_bytes = max_judge_bytes;
  } else if (frame->type == IN_VERDICT) {
    uint64_t id;
    uint8_t words[2];
    take(&cursor, &id, sizeof id);
    take(&cursor, words, sizeof words);
    if (cursor.failed || words[1] > CLASS_BAD) return false;
    on_verdict(id, words[0] != 0, (enum verdict_class)words[1]);
  } else if (frame->type == IN_KNOWN) {
    while (cursor.left > 0) {
      struct file_key key;
      uint8_t verdict;
      take(&cursor, &key, sizeof key);
      take(&cursor, &verdict, sizeof verdict);
      if (cursor.failed || verdict > CLASS_BAD) return false;
      /* A record is older than a judgement of the same state, which may have found it bad. */
      if (verdict != CLASS_CLEAN || table_find(&key) == NULL) learn(&key, (enum verdict_class)verdict);
    }
  } else if (frame->type == IN_FORGET) {
    hot_clear();
    table_clear();
  } else if (frame->type == IN_EXCLUDE_EXES) {
    exclude_exes(&cursor);
  } else if (frame->type == IN_EXCLUDE_PATHS) {
    exclude_paths(&cursor);
  } else {
    return false;
  }
  return !cursor.failed;
}
