#define _GNU_SOURCE
#include "guard.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int frame_fill(struct frame_reader *reader, int fd) {
  if (reader->taken > 0) {
    memmove(reader->bytes, reader->bytes + reader->taken, reader->have - reader->taken);
    reader->have -= reader->taken;
    reader->taken = 0;
  }
  if (reader->have == sizeof reader->bytes) return 1;
  ssize_t received = recv(fd, reader->bytes + reader->have, sizeof reader->bytes - reader->have, MSG_DONTWAIT);
  if (received > 0) {
    reader->have += (size_t)received;
    return 1;
  }
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  return -1;
}

int frame_next(struct frame_reader *reader, struct frame *frame) {
  size_t left = reader->have - reader->taken;
  uint32_t length;
  if (left < sizeof length) return 0;
  memcpy(&length, reader->bytes + reader->taken, sizeof length);
  if (length < 1 || length > MAX_FRAME) return -1;
  if (left - sizeof length < length) return 0;
  const uint8_t *start = reader->bytes + reader->taken + sizeof length;
  *frame = (struct frame){.type = start[0], .payload = start + 1, .length = length - 1};
  reader->taken += sizeof length + length;
  return 1;
}

static bool send_parts(int fd, uint8_t type, const void *head, size_t head_length, const void *tail, size_t tail_length,
                       bool waits) {
  uint32_t length = (uint32_t)(1 + head_length + tail_length);
  struct iovec parts[4] = {
      {&length, sizeof length}, {&type, 1}, {(void *)head, head_length}, {(void *)tail, tail_length}};
  size_t whole = sizeof length + length, sent = 0;
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 4};
  while (sent < whole) {
    ssize_t part = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (part < 0 && errno == EINTR) continue;
    if (part < 0 && errno == EAGAIN) {
      /* Half a frame would make nonsense of all that follow: once begun, it is finished. */
      if (!waits && sent == 0) return false;
      struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
      if (poll(&poll_fd, 1, 1000) < 0 && errno != EINTR) return false;
      if (poll_fd.revents & (POLLHUP | POLLERR)) return false;
      continue;
    }
    if (part < 0) return false;
    sent += (size_t)part;
    size_t skip = (size_t)part;
    for (size_t index = 0; index < 4 && skip > 0; index += 1) {
      size_t here = skip < parts[index].iov_len ? skip : parts[index].iov_len;
      parts[index].iov_base = (uint8_t *)parts[index].iov_base + here;
      parts[index].iov_len -= here;
      skip -= here;
    }
  }
  return true;
}

bool frame_send(int fd, uint8_t type, const void *head, size_t head_length, const void *tail, size_t tail_length) {
  return send_parts(fd, type, head, head_length, tail, tail_length, false);
}

bool frame_send_waiting(int fd, uint8_t type, const void *head, size_t head_length, const void *tail,
                        size_t tail_length) {
  return send_parts(fd, type, head, head_length, tail, tail_length, true);
}

void take(struct cursor *cursor, void *into, size_t length) {
  if (cursor->failed || cursor->left < length) {
    cursor->failed = true;
    memset(into, 0, length);
    return;
  }
  memcpy(into, cursor->at, length);
  cursor->at += length;
  cursor->left -= length;
}

const uint8_t *take_text(struct cursor *cursor, uint16_t *length) {
  take(cursor, length, sizeof *length);
  if (cursor->failed || cursor->left < *length) {
    cursor->failed = true;
    *length = 0;
    return cursor->at;
  }
  const uint8_t *text = cursor->at;
  cursor->at += *length;
  cursor->left -= *length;
  return text;
}
