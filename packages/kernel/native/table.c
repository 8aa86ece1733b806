#define _GNU_SOURCE
#include "guard.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* 8 × 2^14 entries of 48 bytes: 6 MiB at most, of which only what was touched is resident. */
#define SETS (1u << 14)
#define WAYS 8u

static struct known_entry (*sets)[WAYS];
static uint8_t next_way[SETS];

bool table_open(void) {
  void *memory = mmap(NULL, sizeof(struct known_entry[SETS][WAYS]), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  sets = memory;
  return true;
}

struct file_key key_of(const struct stat *stat) {
  return (struct file_key){.device = stat->st_dev,
                           .inode = stat->st_ino,
                           .ctime_ns = stat->st_ctim.tv_sec * (int64_t)NS_PER_S + stat->st_ctim.tv_nsec,
                           .mtime_ns = stat->st_mtim.tv_sec * (int64_t)NS_PER_S + stat->st_mtim.tv_nsec,
                           .size = (uint64_t)stat->st_size};
}

bool key_equal(const struct file_key *a, const struct file_key *b) {
  return a->inode == b->inode && a->device == b->device && a->ctime_ns == b->ctime_ns && a->mtime_ns == b->mtime_ns &&
         a->size == b->size;
}

/* By inode alone: another state of a file belongs into the place of the older one. */
static uint32_t set_of(const struct file_key *key) {
  uint64_t mixed = (key->inode ^ (key->device << 40)) * 0x9e3779b97f4a7c15ull;
  return (uint32_t)(mixed >> 50);
}

struct known_entry *table_find(const struct file_key *key) {
  struct known_entry *set = sets[set_of(key)];
  for (uint32_t way = 0; way < WAYS; way += 1)
    if (set[way].verdict != CLASS_UNKNOWN && key_equal(&set[way].key, key)) return &set[way];
  return NULL;
}

void table_put(const struct file_key *key, enum verdict_class verdict) {
  uint32_t index = set_of(key);
  struct known_entry *set = sets[index];
  uint32_t place = WAYS;
  for (uint32_t way = 0; way < WAYS; way += 1) {
    bool is_same = set[way].key.inode == key->inode && set[way].key.device == key->device;
    if (set[way].verdict != CLASS_UNKNOWN && is_same) {
      place = way;
      break;
    }
    if (set[way].verdict == CLASS_UNKNOWN && place == WAYS) place = way;
  }
  if (place == WAYS) place = next_way[index]++ % WAYS;
  set[place] = (struct known_entry){.key = *key, .verdict = verdict};
}

void table_clear(void) {
  /* Gives the memory back as well. */
  madvise(sets, sizeof(struct known_entry[SETS][WAYS]), MADV_DONTNEED);
}
