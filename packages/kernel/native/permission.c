/*
 * The permission group: whoever wants to run or open a file waits here for the answer (fanotify(7)). A known file costs
 * read, fstat, write and close: everybody who starts a program waits for these.
 */
#define _GNU_SOURCE
#include "permission.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many times known: the kernel may let it pass by itself. */
#define HOT_AFTER 4u
#define TIDY_NS (10 * NS_PER_S)
#define SOURCES 4u

static int signals = -1;

static bool becomes_hot(int fd, struct known_entry *known) {
  known->hits += 1;
  if (known->hits < HOT_AFTER || signals < 0) return false;
  known->hits = 0;
  return is_lasting(known->key.device) && hot_add(fd, &known->key);
}

/* Whether the descriptor is kept. */
static bool let_pass(int fd, struct known_entry *known, uint64_t since_ns) {
  respond(fd, true);
  stats.from_table += 1;
  count_answer(since_ns);
  return becomes_hot(fd, known);
}

/* A file that is held from a start before this one: its content is what its times were when it was judged. */
static bool pass_held(const struct fanotify_event_metadata *event, const struct file_key *key, uint32_t pid,
                      uint64_t since_ns) {
  struct known_entry *known = table_find(key);
  if (known == NULL || known->verdict != CLASS_CLEAN || !grace_join(key, pid)) return false;
  if (!let_pass(event->fd, known, since_ns)) close(event->fd);
  return true;
}

/* A known file, once nobody writes it; `key` is what it was under the lease. */
static bool pass_known(const struct fanotify_event_metadata *event, const struct file_key *key, uint32_t pid,
                       bool has_lease, uint64_t since_ns) {
  bool is_exec = event->mask & FAN_OPEN_EXEC_PERM;
  struct known_entry *known = table_find(key);
  if (known == NULL || known->verdict != CLASS_CLEAN || (is_exec && is_blind(event->fd, key->device))) return false;
  bool is_kept = let_pass(event->fd, known, since_ns) || (is_exec && has_lease && grace_add(event->fd, pid, key));
  if (!is_kept) close(event->fd);
  return true;
}

static bool is_exempt(const struct fanotify_event_metadata *event, uint32_t pid, const struct stat *stat) {
  char path[4096];
  size_t length = path_of(event->fd, path, sizeof path - 1);
  path[length] = 0;
  return is_exempt_process(pid) || is_excluded_exe(pid) || is_excluded_path(path, stat);
}

static void on_event(const struct fanotify_event_metadata *event) {
  uint64_t since_ns = now_ns();
  uint32_t pid = event->pid > 0 ? (uint32_t)event->pid : 0;
  uint8_t kind = event->mask & FAN_OPEN_EXEC_PERM ? KIND_EXEC : KIND_OPEN;
  struct stat stat;
  stats.events += 1;
  grace_end(pid);
  bool is_judged = !is_exempt_pid(pid) && fstat(event->fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
                   (kind == KIND_EXEC || stat.st_size > 0);
  if (is_judged) {
    struct file_key key = key_of(&stat);
    if (pass_held(event, &key, pid, since_ns)) return;
    /* Before its times are read: what they tell then stays. */
    bool has_lease = lease_take(event->fd);
    bool is_written = !has_lease && errno == EAGAIN;
    if (fstat(event->fd, &stat) != 0) stat.st_size = -1;
    key = key_of(&stat);
    if (!is_written && pass_known(event, &key, pid, has_lease, since_ns)) return;
    /* Who opens a file to write it, or beside a writer, reads what is not finished: its close is in the journal. */
    bool is_unfinished = is_written && kind == KIND_OPEN;
    stats.being_written += is_unfinished;
    if (!is_unfinished && !is_exempt(event, pid, &stat)) {
      wait_for_answer(event->fd, pid, kind, since_ns);
      return;
    }
  }
  stats.exempt += 1;
  respond(event->fd, true);
  close(event->fd);
}

/* Somebody waits to write a file that is held. */
static void on_lease_break(int fd) {
  grace_on_lease_break(fd);
  waiting_on_lease_break(fd);
}

static int milliseconds_until(uint64_t now, uint64_t next) {
  return next <= now ? 0 : (int)((next - now + NS_PER_MS - 1) / NS_PER_MS);
}

static void read_events(void) {
  /* Each event comes with a descriptor, and the kernel denies what it has none for: not too many at once. */
  static _Alignas(8) uint8_t buffer[128 * FAN_EVENT_METADATA_LEN];
  ssize_t length = read(permission_group, buffer, sizeof buffer);
  if (length <= 0) return;
  const struct fanotify_event_metadata *event = (void *)buffer;
  for (; FAN_EVENT_OK(event, length); event = FAN_EVENT_NEXT(event, length))
    if (event->vers == FANOTIFY_METADATA_VERSION && event->fd >= 0) on_event(event);
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

/* What is done now and then; when it is due again. */
static uint64_t periodic(uint64_t now) {
  static uint64_t tidy_at_ns, stats_at_ns, told_events, told_asked;
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
  return stats_at_ns;
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
  places_open();
  /* Each waiting process has one event here, so the queue is bounded by them; a full one would let everything pass. */
  permission_group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE,
                                   O_RDONLY | O_LARGEFILE | O_CLOEXEC);
  int error = permission_group < 0 ? errno : 0;
  if (error == 0 && !table_open()) error = ENOMEM;
  say_hello(error);
  if (error != 0) return 1;
  urgency_open();
  signals = hot_open(permission_group, event_mask);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  /* In the order of their bits: somebody waits to write; somebody waits to start; the agent; a mount came or went. */
  const int sources[] = {signals, permission_group, AGENT_FD, watch_mounts()};
  for (uint32_t index = 0; index < SOURCES; index += 1) {
    struct epoll_event wanted = {.events = index == 3 ? EPOLLPRI : EPOLLIN, .data.u32 = 1u << index};
    if (sources[index] >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, sources[index], &wanted) != 0) return 1;
  }
  for (;;) {
    uint64_t now = now_ns();
    uint64_t next = earlier(periodic(now), grace_check(now));
    waiting_on_timers(now);
    struct epoll_event found[SOURCES];
    int count = epoll_wait(epoll, found, SOURCES, milliseconds_until(now, waiting_next(next)));
    if (count < 0 && errno != EINTR) return 1;
    uint32_t ready = 0;
    for (int index = 0; index < count; index += 1) ready |= found[index].data.u32;
    if (ready & 1) hot_on_signal(signals, on_lease_break);
    if (ready & 2) read_events();
    urgency_check(now_ns());
    if (ready & 4 && !read_agent()) return 0;
    if (ready & 8) frame_send(AGENT_FD, OUT_MOUNTS, NULL, 0, NULL, 0);
  }
}
