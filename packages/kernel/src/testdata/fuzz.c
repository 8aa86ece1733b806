/* Feeds bytes of standard input to the parser and to the handlers of frames: argument permission or journal. */
#include "guard.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static struct frame_reader reader;
  static uint8_t input[MAX_FRAME];
  int pair[2];
  size_t length = 0;
  for (ssize_t part; length < sizeof input && (part = read(0, input + length, sizeof input - length)) > 0;)
    length += (size_t)part;
  if (argc < 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || !table_open()) return 2;
  bool (*handle)(const struct frame *) = strcmp(argv[1], "journal") == 0 ? journal_frame : permission_frame;
  for (size_t at = 0; at < length;) {
    size_t chunk = length - at < 4096 ? length - at : 4096;
    if (write(pair[1], input + at, chunk) != (ssize_t)chunk) return 2;
    at += chunk;
    if (frame_fill(&reader, pair[0]) < 0) return 2;
    struct frame frame;
    int found;
    /* Journal frames 8 and 9 need a running group. */
    while ((found = frame_next(&reader, &frame)) == 1)
      if (frame.type < IN_SYNC) handle(&frame);
    if (found < 0) return 0;
  }
  return 0;
}
