/* What a scan before saw of one mount, in step with the walk. The records are described in src/records.ts. */
#ifndef RINGWALL_BASELINE_H
#define RINGWALL_BASELINE_H
#include "common.h"

enum { MAX_REST_BYTES = 64 };

typedef struct Baseline Baseline;
typedef struct { const char *path; size_t length; const unsigned char *payload; } Record;
typedef enum { IS_OTHER, IS_UNSETTLED, IS_SAMPLED, IS_UNCHANGED } Likeness;

/* Which records need no second look: bytes behind the identity, under a mask; see src/walk.ts. */
void baseline_judge_by(const char *order);
/* Adds a layer of records, to be read from `fd`; of one path the layer that came first is believed. */
void baseline_add(uint16_t mount, int fd);
/* "mount:parts per million": somebody else's records, of which that many are picked, settled or not; see src/baseline.ts. */
void baseline_try(const char *order);
Baseline *baseline_of(uint16_t mount);
size_t baseline_count(void);
Baseline *baseline_at(size_t index);
uint16_t baseline_mount(const Baseline *baseline);
size_t baseline_rest_bytes(void);

/* The record that is next in the byte order of paths; NULL behind the last. */
const Record *baseline_peek(Baseline *baseline);
void baseline_step(Baseline *baseline);
/* How a file that was looked at compares with its record. `is_told`: it is to be looked at twice in any case. */
Likeness baseline_compare(const Baseline *baseline, const Record *record, const unsigned char *identity, int is_told);
int compare_paths(const char *left, size_t left_length, const char *right, size_t right_length);
#endif
