/* Those who want to run or open a file that nobody knows: settled, asked about, answered, or late. */
#define _GNU_SOURCE
#include "permission.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_WAITING 512u
#define MAX_LATE 256u
/* A file that somebody writes is not run in this time; then the answer is no. The kernel would say ETXTBSY. */
#define WRITER_PATIENCE_NS (250 * NS_PER_MS)
#define HOLD_NS (60 * NS_PER_S)
#define LATE_NS (120 * NS_PER_S)
/* After so many answers that did not come in time nobody is held, until one comes in time: to wait would be for nothing. */
#define SLOW_AFTER 3u

enum state { FREE, SETTLING, ASKED, LATE };
enum { FLAG_KNOWN_BAD = 1, FLAG_ANSWERED = 2 };

struct waiting {
  uint64_t id, since_ns, deadline_ns, retry_ns;
  struct file_key key;
  int fd;
  uint32_t pid;
  uint8_t kind, state;
  /* `has_lease`: nobody writes the file; `was_opened`: somebody did since it was asked about. */
  bool is_known_bad, has_changed, has_lease, was_opened;
};

struct guard_policy policy = {.budget_ms = 2000, .max_judge_bytes = 8u << 20};
static struct waiting slots[MAX_WAITING];
static uint32_t top, late_count, too_late;
static uint64_t next_serial = 1;

static void release(struct waiting *waiting) {
  if (waiting->state == LATE) late_count -= 1;
  if (waiting->fd >= 0) close(waiting->fd);
  waiting->state = FREE;
  while (top > 0 && slots[top - 1].state == FREE) top -= 1;
}

/* The process goes on; the agent may still say what the file is. */
static void answer_now(struct waiting *waiting, bool allows) {
  respond(waiting->fd, allows);
  if (late_count >= MAX_LATE) {
    release(waiting);
    return;
  }
  waiting->state = LATE;
  late_count += 1;
  waiting->deadline_ns = now_ns() + LATE_NS;
}

static enum verdict_class verdict_of(const struct file_key *key) {
  const struct known_entry *known = table_find(key);
  return known == NULL ? CLASS_UNKNOWN : (enum verdict_class)known->verdict;
}

void learn(const struct file_key *key, enum verdict_class verdict) {
  if (verdict != CLASS_CLEAN) hot_forget(key);
  table_put(key, verdict);
}

/*
 * A file that is never twice the same would otherwise only have to be changed until the time is over. The agent may
 * have said already that the file is bad, and still see to what is done about it.
 */
static bool answer_without_agent(const struct waiting *waiting) {
  bool is_bad = waiting->is_known_bad || (waiting->state == ASKED && verdict_of(&waiting->key) == CLASS_BAD);
  return !is_bad && !waiting->has_changed && !policy.denies_late;
}

static void ask(struct waiting *waiting) {
  char path[4096];
  size_t length = path_of(waiting->fd, path, sizeof path);
  bool is_large = waiting->key.size > policy.max_judge_bytes && !waiting->is_known_bad;
  bool goes_on = (is_large && !policy.holds_large) || too_late >= SLOW_AFTER;
  struct {
    uint64_t id;
    uint32_t fd, pid;
    uint8_t kind, flags, unused[6];
    struct file_key key;
  } question = {.id = waiting->id,
                .fd = (uint32_t)waiting->fd,
                .pid = waiting->pid,
                .kind = waiting->kind,
                .flags = (uint8_t)((waiting->is_known_bad ? FLAG_KNOWN_BAD : 0) | (goes_on ? FLAG_ANSWERED : 0)),
                .key = waiting->key};
  bool was_sent = frame_send(AGENT_FD, OUT_ASK, &question, sizeof question, path, length);
  stats.asked += 1;
  if (was_sent && !goes_on) {
    waiting->state = ASKED;
    if (is_large) waiting->deadline_ns = waiting->since_ns + HOLD_NS;
    return;
  }
  stats.unjudged += 1;
  answer_now(waiting, is_large && !policy.holds_large ? true : answer_without_agent(waiting));
  if (!was_sent && waiting->state == LATE) release(waiting);
}

/* A file is asked about once nobody writes it and a later change would show. */
static void settle(struct waiting *waiting, uint64_t now) {
  struct stat stat;
  /* Kept until the answer: whoever opens the file for writing meanwhile is heard of. */
  waiting->has_lease = lease_take(waiting->fd);
  waiting->was_opened = false;
  bool is_written = !waiting->has_lease && errno == EAGAIN;
  if (is_written && now - waiting->since_ns > WRITER_PATIENCE_NS) {
    stats.being_written += 1;
    respond(waiting->fd, false);
    release(waiting);
    return;
  }
  if (fstat(waiting->fd, &stat) != 0) {
    respond(waiting->fd, answer_without_agent(waiting));
    release(waiting);
    return;
  }
  if (is_written || !is_settled(waiting->fd, &stat)) {
    waiting->retry_ns = now + NS_PER_MS;
    return;
  }
  waiting->key = key_of(&stat);
  enum verdict_class known = verdict_of(&waiting->key);
  if (known == CLASS_CLEAN && !(waiting->kind == KIND_EXEC && is_blind(waiting->fd, waiting->key.device))) {
    stats.from_table += 1;
    respond(waiting->fd, true);
    if (waiting->kind == KIND_EXEC && waiting->has_lease && grace_add(waiting->fd, waiting->pid, &waiting->key))
      waiting->fd = -1;
    release(waiting);
    return;
  }
  waiting->is_known_bad = known == CLASS_BAD;
  ask(waiting);
}

void wait_for_answer(int fd, uint32_t pid, uint8_t kind, uint64_t since_ns) {
  uint32_t index = 0;
  while (index < MAX_WAITING && slots[index].state != FREE) index += 1;
  if (index == MAX_WAITING) {
    stats.overload += 1;
    respond(fd, !policy.denies_late);
    close(fd);
    return;
  }
  if (index >= top) top = index + 1;
  slots[index] = (struct waiting){.id = next_serial++ << 16 | index,
                                  .since_ns = since_ns,
                                  .deadline_ns = since_ns + policy.budget_ms * NS_PER_MS,
                                  .fd = fd,
                                  .pid = pid,
                                  .kind = kind,
                                  .state = SETTLING};
  settle(&slots[index], since_ns);
}

void on_verdict(uint64_t id, bool allows, enum verdict_class verdict) {
  uint32_t index = id & 0xffff;
  if (index >= MAX_WAITING || slots[index].id != id) return;
  struct waiting *waiting = &slots[index];
  if (waiting->state != ASKED && waiting->state != LATE) return;
  if (waiting->state == ASKED || now_ns() - waiting->since_ns <= policy.budget_ms * NS_PER_MS) too_late = 0;
  struct stat stat;
  bool is_known_blind = waiting->kind == KIND_EXEC && is_blind(waiting->fd, waiting->key.device);
  bool is_same = !waiting->was_opened && fstat(waiting->fd, &stat) == 0;
  /* A file system without leases has its times only. */
  if (!waiting->has_lease && has_writers(waiting->fd)) is_same = false;
  struct file_key key = is_same ? key_of(&stat) : (struct file_key){0};
  is_same = is_same && key_equal(&key, &waiting->key);
  if (is_same && verdict != CLASS_UNKNOWN) learn(&waiting->key, verdict);
  if (waiting->state == ASKED) {
    if (allows && !is_same) {
      /* It is another content by now, which nobody has judged. */
      waiting->has_changed = true;
      waiting->state = SETTLING;
      waiting->retry_ns = now_ns();
      return;
    }
    if (verdict == CLASS_UNKNOWN) stats.unjudged += 1;
    respond(waiting->fd, allows);
  }
  /* What its times cannot tell, its lease can, as long as it is not given back. */
  if (is_same && is_known_blind && verdict == CLASS_CLEAN && is_lasting(key.device) && hot_add(waiting->fd, &key))
    waiting->fd = -1;
  else if (allows && is_same && waiting->kind == KIND_EXEC && waiting->state == ASKED && waiting->has_lease &&
           grace_add(waiting->fd, waiting->pid, &key))
    waiting->fd = -1;
  release(waiting);
}

/* Somebody opens a file for writing that is being judged, and waits until the lease is given back. */
void waiting_on_lease_break(int fd) {
  for (uint32_t index = 0; index < top; index += 1) {
    struct waiting *waiting = &slots[index];
    if (waiting->state == FREE || !waiting->has_lease || (fd >= 0 && waiting->fd != fd)) continue;
    fcntl(waiting->fd, F_SETLEASE, F_UNLCK);
    waiting->has_lease = false;
    waiting->was_opened = true;
  }
}

void waiting_on_timers(uint64_t now) {
  for (uint32_t index = 0; index < top; index += 1) {
    struct waiting *waiting = &slots[index];
    if (waiting->state == FREE) continue;
    if (waiting->deadline_ns <= now) {
      if (waiting->state == LATE) {
        release(waiting);
        continue;
      }
      stats.timeouts += 1;
      stats.unjudged += 1;
      if (waiting->state == ASKED) {
        too_late += 1;
        answer_now(waiting, answer_without_agent(waiting));
      } else {
        respond(waiting->fd, answer_without_agent(waiting));
        release(waiting);
      }
    } else if (waiting->state == SETTLING && waiting->retry_ns <= now) {
      settle(waiting, now);
    }
  }
}

uint64_t waiting_next(uint64_t next) {
  for (uint32_t index = 0; index < top; index += 1) {
    const struct waiting *waiting = &slots[index];
    if (waiting->state == FREE) continue;
    uint64_t at = waiting->state == SETTLING && waiting->retry_ns < waiting->deadline_ns ? waiting->retry_ns
                                                                                         : waiting->deadline_ns;
    if (at < next) next = at;
  }
  return next;
}
