/* The permission group: who wants to run or open a file waits here for the answer (fanotify(7)). */
#define _GNU_SOURCE
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define MAX_WAITING 512u
#define MAX_LATE 256u
#define MAX_LASTING 32u
/* So many times known: the kernel may let it pass by itself. */
#define HOT_AFTER 4u
#define TIDY_NS (10 * NS_PER_S)
#define HISTOGRAM 64u
/* A file that somebody writes is not run in this time; then the answer is no. The kernel would say ETXTBSY. */
#define WRITER_PATIENCE_NS (250 * NS_PER_MS)
/* How long a change may go unnoticed in the times of a file: two ticks of the slowest clock (HZ=100). */
#define COARSE_NS (20 * NS_PER_MS)
#define HOLD_NS (60 * NS_PER_S)
#define LATE_NS (120 * NS_PER_S)
/* So many answers that did not come in time, and the agent counts as silent until it speaks. */
#define SILENT_AFTER 3u

enum kind { KIND_EXEC = 1, KIND_OPEN = 2 };
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

static struct {
  uint64_t events, from_table, asked, denied, timeouts, exempt, being_written, overload, unjudged;
  uint32_t answer_us[HISTOGRAM];
} stats;

static struct {
  bool denies_late, holds_large;
  uint32_t budget_ms;
  uint64_t max_judge_bytes;
} policy = {.budget_ms = 2000, .max_judge_bytes = 8u << 20};

static int group = -1;
static uint64_t event_mask = FAN_OPEN_EXEC_PERM;
static struct waiting slots[MAX_WAITING];
static uint32_t top, late_count;
static uint64_t next_serial = 1;
static uint32_t unanswered;
static bool has_fine_times;
static uint64_t lasting_devices[MAX_LASTING];
static uint32_t lasting_count;
static int signals = -1;

static void respond(int fd, bool allows) {
  struct fanotify_response response = {.fd = fd, .response = allows ? FAN_ALLOW : FAN_DENY};
  while (write(group, &response, sizeof response) < 0 && errno == EINTR) continue;
  if (!allows) stats.denied += 1;
}

static void count_answer(uint64_t since_ns) {
  uint64_t us = (now_ns() - since_ns) / 1000;
  uint32_t bucket = (uint32_t)us;
  if (us >= 8) {
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll(us);
    bucket = 8 + (exponent - 3) * 4 + (uint32_t)((us >> (exponent - 2)) & 3);
  }
  stats.answer_us[bucket < HISTOGRAM ? bucket : HISTOGRAM - 1] += 1;
}

/*
 * Whether somebody has the file open for writing: a read lease is refused then (fcntl(2), F_SETLEASE). This sees
 * mapped writers as well, whose stores into a page that is dirty already change no time of the file.
 */
static bool has_writers(int fd) {
  if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN;
}

static long file_system_of(int fd) {
  struct statfs about;
  return fstatfs(fd, &about) == 0 ? (long)about.f_type : 0;
}

/* Whether stores through a mapping may change no time of a file: what was known before a writer is worth nothing. */
static bool is_blind(int fd) {
  long type = file_system_of(fd);
  return type == TMPFS_MAGIC || type == RAMFS_MAGIC;
}

/*
 * Whether a change after now would show in the times. Kernels from 6.13 on give a file whose times were looked at a
 * finer stamp at its next change, on these file systems (Documentation/filesystems/multigrain-ts.rst).
 */
static bool is_settled(int fd, const struct stat *stat) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t age = (now.tv_sec - stat->st_ctim.tv_sec) * (int64_t)NS_PER_S + now.tv_nsec - stat->st_ctim.tv_nsec;
  /* A time in the future says nothing about its age. */
  if (age < 0 || age > (int64_t)COARSE_NS) return true;
  if (!has_fine_times) return false;
  long type = file_system_of(fd);
  return type == EXT4_SUPER_MAGIC || type == TMPFS_MAGIC || type == XFS_SUPER_MAGIC || type == BTRFS_SUPER_MAGIC;
}

/* Whether the file system stays mounted: one with an open file cannot be unmounted. */
static bool is_lasting(uint64_t device) {
  for (uint32_t index = 0; index < lasting_count; index += 1)
    if (lasting_devices[index] == device) return true;
  return false;
}

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

static void learn(const struct file_key *key, enum verdict_class verdict) {
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
  bool goes_on = (is_large && !policy.holds_large) || unanswered >= SILENT_AFTER;
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
  if (known == CLASS_CLEAN && !(waiting->kind == KIND_EXEC && is_blind(waiting->fd))) {
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

static void wait_for_answer(int fd, uint32_t pid, uint8_t kind, uint64_t since_ns) {
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

static bool becomes_hot(int fd, struct known_entry *known) {
  known->hits += 1;
  if (known->hits < HOT_AFTER || signals < 0) return false;
  known->hits = 0;
  return is_lasting(known->key.device) && hot_add(fd, &known->key);
}

static void on_event(const struct fanotify_event_metadata *event) {
  uint64_t since_ns = now_ns();
  uint32_t pid = event->pid > 0 ? (uint32_t)event->pid : 0;
  uint8_t kind = event->mask & FAN_OPEN_EXEC_PERM ? KIND_EXEC : KIND_OPEN;
  struct stat stat;
  stats.events += 1;
  grace_end(pid);
  bool is_free = is_exempt_pid(pid) || fstat(event->fd, &stat) != 0 || !S_ISREG(stat.st_mode) || (kind == KIND_OPEN && stat.st_size == 0);
  if (!is_free) {
    /* Before its times are read: what they tell then stays. */
    bool has_lease = lease_take(event->fd);
    bool is_written = !has_lease && errno == EAGAIN;
    if (fstat(event->fd, &stat) != 0) stat.st_size = -1;
    struct file_key key = key_of(&stat);
    struct known_entry *known = is_written ? NULL : table_find(&key);
    if (known != NULL && known->verdict == CLASS_CLEAN && !(kind == KIND_EXEC && is_blind(event->fd))) {
      respond(event->fd, true);
      stats.from_table += 1;
      count_answer(since_ns);
      if (becomes_hot(event->fd, known)) return;
      if (kind == KIND_EXEC && has_lease && grace_add(event->fd, pid, &key)) return;
      close(event->fd);
      return;
    }
    /* Who opens a file to write it, or beside a writer, reads what is not finished: its close is in the journal. */
    if (is_written && kind == KIND_OPEN) {
      stats.being_written += 1;
      is_free = true;
    }
  }
  if (!is_free) {
    char path[4096];
    size_t length = path_of(event->fd, path, sizeof path - 1);
    path[length] = 0;
    is_free = is_exempt_process(pid) || is_excluded_exe(pid) || is_excluded_path(path, &stat);
    if (!is_free) {
      wait_for_answer(event->fd, pid, kind, since_ns);
      return;
    }
  }
  stats.exempt += 1;
  respond(event->fd, true);
  close(event->fd);
}

static void read_events(void) {
  /* Each event comes with a descriptor, and the kernel denies what it has none for: not too many at once. */
  static _Alignas(8) uint8_t buffer[128 * FAN_EVENT_METADATA_LEN];
  ssize_t length = read(group, buffer, sizeof buffer);
  if (length <= 0) return;
  const struct fanotify_event_metadata *event = (void *)buffer;
  for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length))
    if (event->vers == FANOTIFY_METADATA_VERSION && event->fd >= 0) on_event(event);
}

static void on_verdict(uint64_t id, bool allows, enum verdict_class verdict) {
  uint32_t index = id & 0xffff;
  if (index >= MAX_WAITING || slots[index].id != id) return;
  struct waiting *waiting = &slots[index];
  if (waiting->state != ASKED && waiting->state != LATE) return;
  struct stat stat;
  bool is_known_blind = waiting->kind == KIND_EXEC && is_blind(waiting->fd);
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
static void on_lease_break(int fd) {
  for (uint32_t index = 0; index < top; index += 1) {
    struct waiting *waiting = &slots[index];
    if (waiting->state == FREE || !waiting->has_lease || (fd >= 0 && waiting->fd != fd)) continue;
    fcntl(waiting->fd, F_SETLEASE, F_UNLCK);
    waiting->has_lease = false;
    waiting->was_opened = true;
  }
}

static void on_timers(uint64_t now) {
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
        unanswered += 1;
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

static int poll_timeout_ms(uint64_t now, uint64_t next) {
  for (uint32_t index = 0; index < top; index += 1) {
    const struct waiting *waiting = &slots[index];
    if (waiting->state == FREE) continue;
    uint64_t at = waiting->state == SETTLING && waiting->retry_ns < waiting->deadline_ns ? waiting->retry_ns
                                                                                         : waiting->deadline_ns;
    if (at < next) next = at;
  }
  return next <= now ? 0 : (int)((next - now + NS_PER_MS - 1) / NS_PER_MS);
}

bool permission_frame(const struct frame *frame) {
  struct cursor cursor = {.at = frame->payload, .left = frame->length};
  unanswered = 0;
  if (frame->type == IN_MARK) {
    uint16_t length;
    const uint8_t *text = take_text(&cursor, &length);
    uint8_t lasts;
    take(&cursor, &lasts, sizeof lasts);
    char *path = cursor.failed ? NULL : copy_text(text, length);
    if (path == NULL) return false;
    struct stat stat;
    if (lasts && lasting_count < MAX_LASTING && lstat(path, &stat) == 0 && !is_lasting(stat.st_dev))
      lasting_devices[lasting_count++] = stat.st_dev;
    int done = fanotify_mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, event_mask, AT_FDCWD, path);
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
      learn(&key, (enum verdict_class)verdict);
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

static bool read_agent(void) {
  static struct frame_reader reader;
  struct frame frame;
  if (frame_fill(&reader, AGENT_FD) < 0) return false;
  for (;;) {
    int found = frame_next(&reader, &frame);
    if (found == 0) return true;
    if (found < 0 || !permission_frame(&frame)) return false;
  }
}

static bool is_kernel_at_least(unsigned major, unsigned minor) {
  struct utsname name;
  unsigned have_major = 0, have_minor = 0;
  if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &have_major, &have_minor) != 2) return false;
  return have_major > major || (have_major == major && have_minor >= minor);
}

/*
 * Everybody who starts a program waits for this process, also where the agent's service has a small share of the
 * processor. What it does for an event is short and bounded, and the kernel keeps some time from real-time processes.
 */
static void run_before_others(void) {
  struct sched_param lowest = {.sched_priority = sched_get_priority_min(SCHED_RR)};
  if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) != 0) setpriority(PRIO_PROCESS, 0, -20);
}

/* Arguments: exec | exec-and-open, then the pids whose processes are never asked about. */
int run_permission(int argc, char **argv) {
  if (argc > 0 && strcmp(argv[0], "exec-and-open") == 0) event_mask |= FAN_OPEN_PERM;
  for (int index = 1; index < argc; index += 1) exempt_pid((uint32_t)strtoul(argv[index], NULL, 10));
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  has_fine_times = is_kernel_at_least(6, 13);
  /* Each waiting process has one event here, so the queue is bounded by them; a full one would let everything pass. */
  group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE,
                        O_RDONLY | O_LARGEFILE | O_CLOEXEC);
  int error = group < 0 ? errno : 0;
  if (error == 0 && !table_open()) error = ENOMEM;
  say_hello(error);
  if (error != 0) return 1;
  run_before_others();
  signals = hot_open(group, event_mask);
  struct pollfd fds[4] = {{.fd = group, .events = POLLIN},
                          {.fd = AGENT_FD, .events = POLLIN},
                          {.fd = watch_mounts(), .events = POLLPRI},
                          {.fd = signals, .events = POLLIN}};
  uint64_t tidy_at_ns = 0, stats_at_ns = 0, told_events = 0, told_asked = 0;
  for (;;) {
    uint64_t now = now_ns();
    on_timers(now);
    if (now >= stats_at_ns) {
      if (stats.events != told_events || stats.asked != told_asked || stats_at_ns == 0)
        frame_send(AGENT_FD, OUT_STATS, &stats, sizeof stats, NULL, 0);
      told_events = stats.events;
      told_asked = stats.asked;
      stats_at_ns = now + NS_PER_S;
    }
    if (now >= tidy_at_ns) {
      hot_drop_deleted();
      tidy_at_ns = now + TIDY_NS;
    }
    uint64_t grace_at_ns = grace_check(now);
    uint64_t next_ns = grace_at_ns < stats_at_ns ? grace_at_ns : stats_at_ns;
    if (poll(fds, 4, poll_timeout_ms(now, next_ns)) < 0 && errno != EINTR) return 1;
    /* First: somebody waits to write. */
    if (fds[3].revents != 0) hot_on_signal(signals, on_lease_break);
    if (fds[0].revents != 0) read_events();
    if (fds[1].revents != 0 && !read_agent()) return 0;
    if (fds[2].revents != 0) frame_send(AGENT_FD, OUT_MOUNTS, NULL, 0, NULL, 0);
  }
}
