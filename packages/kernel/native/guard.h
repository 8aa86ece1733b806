/*
 * ringwall-guard: the agent's hand in the kernel. It owns the fanotify descriptors, so a stopped or killed agent
 * never holds the machine: it answers what it knows in microseconds, asks the agent about the rest, and answers by
 * policy when the agent does not. When it dies, the kernel lets everything go that waits for it.
 *
 * Frames on descriptor 3, both ways: u32 length of what follows, u8 type, payload. Little endian (the build refuses
 * another byte order).
 */
#ifndef RINGWALL_GUARD_H
#define RINGWALL_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are written as they lie in memory");

#define GUARD_ABI 1
#define AGENT_FD 3
#define MAX_FRAME (1024u * 1024u)
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* Of the agent. */
enum { IN_MARK = 1, IN_POLICY, IN_VERDICT, IN_KNOWN, IN_FORGET, IN_EXCLUDE_EXES, IN_EXCLUDE_PATHS, IN_SYNC, IN_STRETCH };
/* To the agent. */
enum { OUT_HELLO = 1, OUT_MARKED, OUT_ASK, OUT_STATS, OUT_MOUNTS, OUT_CHANGED, OUT_GAP, OUT_SYNCED };

/* frame.c */
struct frame_reader {
  uint8_t bytes[MAX_FRAME + 5];
  size_t have, taken;
};
struct frame {
  uint8_t type;
  const uint8_t *payload;
  size_t length;
};
/* Takes bytes from the socket: 1 some came, 0 none now, -1 the agent is gone. */
int frame_fill(struct frame_reader *reader, int fd);
/* 1 one frame, which stays good until the next call; 0 none is whole; -1 what came is no frame. */
int frame_next(struct frame_reader *reader, struct frame *frame);
/* Whether all of it was sent, at once; a socket that is full takes nothing. */
bool frame_send(int fd, uint8_t type, const void *head, size_t head_length, const void *tail, size_t tail_length);
/* The same, but waits: for what must not be lost. */
bool frame_send_waiting(int fd, uint8_t type, const void *head, size_t head_length, const void *tail, size_t tail_length);

/* A cursor that never leaves its bytes; `failed` once something was asked for that is not there. */
struct cursor {
  const uint8_t *at;
  size_t left;
  bool failed;
};
void take(struct cursor *cursor, void *into, size_t length);
/* u16 length and bytes; a pointer into the frame. */
const uint8_t *take_text(struct cursor *cursor, uint16_t *length);

/* table.c: what the agent said of files, by identity. The newest word on an inode replaces the older. */
struct file_key {
  uint64_t device, inode;
  int64_t ctime_ns, mtime_ns;
  uint64_t size;
};
enum verdict_class { CLASS_UNKNOWN, CLASS_CLEAN, CLASS_BAD };
struct known_entry {
  struct file_key key;
  uint32_t verdict, hits;
};
struct stat;
struct file_key key_of(const struct stat *stat);
bool key_equal(const struct file_key *a, const struct file_key *b);
bool table_open(void);
/* NULL when nothing is known. */
struct known_entry *table_find(const struct file_key *key);
void table_put(const struct file_key *key, enum verdict_class verdict);
void table_clear(void);

/* exempt.c */
void exempt_pid(uint32_t pid);
bool is_exempt_pid(uint32_t pid);
bool is_exempt_process(uint32_t pid);
bool is_excluded_exe(uint32_t pid);
bool is_excluded_path(const char *path, const struct stat *file);
void exclude_exes(struct cursor *cursor);
void exclude_paths(struct cursor *cursor);

/* hot.c. A signalfd to watch, or -1. */
int hot_open(int fanotify_group, uint64_t mask);
/* Keeps the descriptor when it answers true. */
bool hot_add(int fd, const struct file_key *key);
void hot_forget(const struct file_key *key);
void hot_clear(void);
/* `on_other` is told a descriptor whose lease ends, -1 for all, when it is none of these files. */
void hot_on_signal(int signals, void (*on_other)(int fd));
/* Takes a read lease that says when it ends. False with errno EAGAIN while somebody writes. */
bool lease_take(int fd);
void hot_drop_deleted(void);

/* common.c */
uint64_t now_ns(void);
uint64_t earlier(uint64_t a, uint64_t b);
/* The path behind a descriptor as this process sees it; 0 when there is none. */
size_t path_of(int fd, char *into, size_t capacity);
/* With a zero behind it; NULL without memory. */
char *copy_text(const uint8_t *text, uint16_t length);
/* Says what this helper is; `error` is the errno of fanotify_init, or 0. */
void say_hello(int error);
void say_marked(int error, const void *path, size_t length, bool waits);
/* Opens what poll(2) reports when a mount comes or goes (proc(5), mountinfo). */
int watch_mounts(void);

int run_permission(int argc, char **argv);
int run_journal(void);
/* Handlers of single frames, apart for the fuzz test. Whether the frame made sense. */
bool permission_frame(const struct frame *frame);
bool journal_frame(const struct frame *frame);

#endif
