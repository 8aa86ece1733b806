/* The parts of the permission group: who wants to run or open a file waits for its answer (fanotify(7)). */
#ifndef RINGWALL_PERMISSION_H
#define RINGWALL_PERMISSION_H

#include "guard.h"

#define HISTOGRAM 64u

enum kind { KIND_EXEC = 1, KIND_OPEN = 2 };

/* answers.c */
struct guard_stats {
  uint64_t events, from_table, asked, denied, timeouts, exempt, being_written, overload, unjudged;
  uint32_t answer_us[HISTOGRAM];
};
extern struct guard_stats stats;
extern int permission_group;
void respond(int fd, bool allows);
void count_answer(uint64_t since_ns);

/* places.c: what a file system promises. */
void places_open(void);
/* Another file system may have the device number of one that is gone. */
void place_marked(const char *path, bool lasts);
/* Whether the file system stays mounted: one with an open file cannot be unmounted. */
bool is_lasting(uint64_t device);
/* Whether stores through a mapping may change no time of a file: what was known before a writer is worth nothing. */
bool is_blind(int fd, uint64_t device);
/* Whether a change after now would show in the times. */
bool is_settled(int fd, const struct stat *stat);
/* Whether somebody has the file open for writing, also through a mapping. */
bool has_writers(int fd);

/* waiting.c: those whose file nobody knows yet. */
struct guard_policy {
  bool denies_late, holds_large;
  uint32_t budget_ms;
  uint64_t max_judge_bytes;
};
extern struct guard_policy policy;
/* Takes the descriptor. */
void wait_for_answer(int fd, uint32_t pid, uint8_t kind, uint64_t since_ns);
void on_verdict(uint64_t id, bool allows, enum verdict_class verdict);
/* Remembers what a file is. */
void learn(const struct file_key *key, enum verdict_class verdict);
/* Somebody opens a file for writing, and waits until its lease is given back; -1 when it is not known which. */
void waiting_on_lease_break(int fd);
void waiting_on_timers(uint64_t now);
/* When to look again, at the latest at `next`. */
uint64_t waiting_next(uint64_t next);

/* grace.c. Whether the file is held with a lease already; its process is one more that starts it. */
bool grace_join(const struct file_key *key, uint32_t pid);
/* Keeps a descriptor with a lease until its program runs, when it answers true. */
bool grace_add(int fd, uint32_t pid, const struct file_key *key);
/* The process asks for something else, so it made the steps of before. */
void grace_end(uint32_t pid);
/* Somebody wants to write such a file: no further process starts it under this lease. */
void grace_on_lease_break(int fd);
/* Lets go what runs; when to look again. */
uint64_t grace_check(uint64_t now);

/* urgency.c: whether this process runs before all others. To be called now and then, with nobody waiting. */
void urgency_open(void);
void urgency_check(uint64_t now);

/* commands.c */
extern uint64_t event_mask;

#endif
