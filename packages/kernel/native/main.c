#define _GNU_SOURCE
#include "guard.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  /* Tells that somebody wants to write a file whose lease is being tried: the lease ends by itself. */
  signal(SIGIO, SIG_IGN);
  /* A Ctrl-C at a terminal is for the agent: this process ends with it. */
  signal(SIGINT, SIG_IGN);
  if (argc >= 3 && strcmp(argv[1], "permission") == 0) return run_permission(argc - 2, argv + 2);
  if (argc == 2 && strcmp(argv[1], "journal") == 0) return run_journal();
  fprintf(stderr, "ringwall-guard is started by the agent: permission exec|exec-and-open [pid...] | journal\n");
  return 2;
}
