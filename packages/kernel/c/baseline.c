/* Reads the layers of a baseline side by side, the way a merge of sorted files does: memory does not grow with them. */
#define _GNU_SOURCE
#include "baseline.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
  BUFFER_BYTES = 1 << 16, RECORD_HEADER_BYTES = 4, CTIME_AT = 8, MODE_AT = 32, MAX_LAYERS = 4, EX_DATAERR = 65,
  SETUID_BITS = 06000, EXECUTE_BITS = 0111, PROGRAMS_MORE_OFTEN = 10
};

typedef struct {
  int fd, has_record;
  unsigned char *bytes;
  size_t start, end;
  char path[MAX_PATH + 1];
  size_t length, payload_at;
} Layer;
struct Baseline {
  uint16_t mount;
  Layer *layers[MAX_LAYERS];
  size_t count;
  int is_started;
  Layer *current;
  Record record;
  /* Of 2^32 records, how many are tried; 0 where the records are this machine's own. */
  uint64_t tried_below;
};

static Baseline *baselines;
static size_t baseline_total;
static size_t rest_bytes;
static unsigned char rest_mask[MAX_REST_BYTES], rest_value[MAX_REST_BYTES];
static int64_t latest_ctime;
static uint64_t sample_below;

static void refuse(const char *what) {
  fprintf(stderr, "walk: %s\n", what);
  exit(EX_DATAERR);
}

static void read_hex(const char *text, unsigned char *into) {
  for (size_t index = 0; index < rest_bytes; index += 1)
    if (sscanf(text + 2 * index, "%2hhx", &into[index]) != 1) refuse("no mask");
}

void baseline_judge_by(const char *order) {
  char mask[2 * MAX_REST_BYTES + 1], value[2 * MAX_REST_BYTES + 1];
  unsigned permille;
  long long latest;
  if (sscanf(order, "%zu:%u:%lld:%128[0-9a-f]:%128[0-9a-f]", &rest_bytes, &permille, &latest, mask, value) != 5 ||
      rest_bytes > MAX_REST_BYTES || strlen(mask) != 2 * rest_bytes || strlen(value) != 2 * rest_bytes)
    refuse("no judgement");
  read_hex(mask, rest_mask);
  read_hex(value, rest_value);
  latest_ctime = latest;
  sample_below = ((uint64_t)permille << 32) / 1000;
}

void baseline_add(uint16_t mount, int fd) {
  Baseline *baseline = baseline_of(mount);
  if (baseline == NULL) {
    baselines = must(realloc(baselines, (baseline_total + 1) * sizeof(Baseline)));
    baseline = &baselines[baseline_total++];
    memset(baseline, 0, sizeof *baseline);
    baseline->mount = mount;
  }
  if (baseline->count == MAX_LAYERS) refuse("too many layers");
  Layer *layer = must(calloc(1, sizeof(Layer)));
  layer->fd = fd;
  layer->bytes = must(malloc(BUFFER_BYTES));
  baseline->layers[baseline->count++] = layer;
}

void baseline_try(const char *order) {
  unsigned mount, ppm;
  if (sscanf(order, "%u:%u", &mount, &ppm) != 2 || ppm > 1000000) refuse("no share to try");
  Baseline *baseline = baseline_of((uint16_t)mount);
  if (baseline != NULL) baseline->tried_below = ((uint64_t)ppm << 32) / 1000000;
}

Baseline *baseline_of(uint16_t mount) {
  for (size_t index = 0; index < baseline_total; index += 1)
    if (baselines[index].mount == mount) return &baselines[index];
  return NULL;
}

size_t baseline_count(void) { return baseline_total; }
Baseline *baseline_at(size_t index) { return &baselines[index]; }
uint16_t baseline_mount(const Baseline *baseline) { return baseline->mount; }
size_t baseline_rest_bytes(void) { return rest_bytes; }

/* Sees to it that `count` bytes are there; answers 0 when the layer ends before. */
static int has_bytes(Layer *layer, size_t count) {
  if (layer->end - layer->start >= count) return 1;
  memmove(layer->bytes, layer->bytes + layer->start, layer->end - layer->start);
  layer->end -= layer->start;
  layer->start = 0;
  while (layer->end < count) {
    ssize_t got = read(layer->fd, layer->bytes + layer->end, BUFFER_BYTES - layer->end);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse("a layer cannot be read");
    if (got == 0) return 0;
    layer->end += (size_t)got;
  }
  return 1;
}

static unsigned read16(const unsigned char *at) { return (unsigned)at[0] | (unsigned)at[1] << 8; }

static void read_record(Layer *layer) {
  layer->has_record = 0;
  if (!has_bytes(layer, RECORD_HEADER_BYTES)) {
    if (layer->end != layer->start) refuse("a layer is cut");
    return;
  }
  size_t shared = read16(layer->bytes + layer->start), suffix = read16(layer->bytes + layer->start + 2);
  size_t whole = RECORD_HEADER_BYTES + suffix + IDENTITY_BYTES + rest_bytes;
  if (shared > layer->length || shared + suffix > MAX_PATH) refuse("no record");
  if (!has_bytes(layer, whole)) refuse("a layer is cut");
  memcpy(layer->path + shared, layer->bytes + layer->start + RECORD_HEADER_BYTES, suffix);
  layer->length = shared + suffix;
  layer->payload_at = layer->start + RECORD_HEADER_BYTES + suffix;
  layer->start += whole;
  layer->has_record = 1;
}

int compare_paths(const char *left, size_t left_length, const char *right, size_t right_length) {
  int order = memcmp(left, right, left_length < right_length ? left_length : right_length);
  if (order != 0) return order;
  return left_length < right_length ? -1 : left_length > right_length;
}

/* Finds the next path; records of it in layers behind the first that has it are passed over. */
static void choose(Baseline *baseline) {
  Layer *first = NULL;
  for (size_t index = 0; index < baseline->count; index += 1) {
    Layer *layer = baseline->layers[index];
    if (!layer->has_record) continue;
    int order = first == NULL ? -1 : compare_paths(layer->path, layer->length, first->path, first->length);
    if (order < 0) first = layer;
    else if (order == 0) read_record(layer);
  }
  baseline->current = first;
  if (first != NULL) baseline->record = (Record){ first->path, first->length, first->bytes + first->payload_at };
}

/* A record without a mode says that there is no such file any more. */
static int is_tombstone(const Record *record) {
  static const unsigned char none[4];
  return memcmp(record->payload + MODE_AT, none, sizeof none) == 0;
}

const Record *baseline_peek(Baseline *baseline) {
  if (!baseline->is_started) {
    baseline->is_started = 1;
    for (size_t index = 0; index < baseline->count; index += 1) read_record(baseline->layers[index]);
    choose(baseline);
  }
  while (baseline->current != NULL && is_tombstone(&baseline->record)) baseline_step(baseline);
  return baseline->current == NULL ? NULL : &baseline->record;
}

void baseline_step(Baseline *baseline) {
  read_record(baseline->current);
  choose(baseline);
}

/* Says yes for so many of 2^32; nobody can foresee when. */
static int is_picked(uint64_t below) {
  static uint32_t pool[1024];
  static size_t left;
  if (below == 0) return 0;
  if (left == 0) {
    if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool) refuse("no random numbers");
    left = sizeof pool / sizeof pool[0];
  }
  return pool[--left] < below;
}

/* Programs are what a forger would hide: they are tried more often, and always where they run with other rights. */
static int is_tried(const Baseline *baseline, const unsigned char *identity) {
  if (baseline->tried_below == 0) return 0;
  unsigned mode = read16(identity + MODE_AT);
  if ((mode & SETUID_BITS) != 0) return 1;
  return is_picked((mode & EXECUTE_BITS) != 0 ? baseline->tried_below * PROGRAMS_MORE_OFTEN : baseline->tried_below);
}

static int64_t read64(const unsigned char *at) {
  uint64_t value = 0;
  for (int index = 7; index >= 0; index -= 1) value = value << 8 | at[index];
  return (int64_t)value;
}

Likeness baseline_compare(const Baseline *baseline, const Record *record, const unsigned char *identity, int is_told) {
  if (memcmp(record->payload, identity, IDENTITY_BYTES) != 0) return IS_OTHER;
  /* A time to come is worth nothing: the clock was set back since. */
  if (read64(identity + CTIME_AT) > latest_ctime) return IS_OTHER;
  if (is_tried(baseline, identity)) return IS_SAMPLED;
  const unsigned char *rest = record->payload + IDENTITY_BYTES;
  for (size_t index = 0; index < rest_bytes; index += 1)
    if ((rest[index] & rest_mask[index]) != rest_value[index]) return IS_UNSETTLED;
  return is_told || is_picked(sample_below) ? IS_SAMPLED : IS_UNCHANGED;
}
