/*
 * The one add-on that Node loads, for what it cannot do to its own process: it gives mappings of program code back to
 * the kernel, and puts a thread behind all others at the disk.
 *
 * A program that is mapped from a file is read into memory as it runs, 64 KiB around each fault, and stays mapped: of
 * Node some 45 MiB after its start, of which little is needed later. These pages belong to the page cache. Dropping
 * this process's view of them costs a minor fault for each stretch that is needed again, and loses nothing as long as
 * the process never wrote there; a page that it wrote (relocations) is anonymous, and such a mapping is left alone.
 *
 * Node-API is stable across versions of Node, and these few of its functions need none of its headers.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env env, napi_callback_info info);
extern int napi_create_function(napi_env env, const char *name, size_t length, napi_callback call, void *data,
                                napi_value *result);
extern int napi_create_double(napi_env env, double value, napi_value *result);
extern int napi_get_boolean(napi_env env, bool value, napi_value *result);
extern int napi_set_named_property(napi_env env, napi_value object, const char *name, napi_value value);

/* ioprio_set(2), of which libc has no header: who is a thread, 0 the calling one; the class is above the level. */
enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_CLASS_IDLE = 3, IOPRIO_CLASS_SHIFT = 13 };

typedef struct {
  unsigned long start, end;
  bool is_code; /* private, of a file, not writable */
} mapping;

/* Takes the head line of a mapping in smaps (proc(5)), "address perms offset dev inode path", and no other line. */
static void read_head(const char *line, mapping *now) {
  char perms[5];
  unsigned long start, end, inode;
  if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, perms, &inode) != 4) return;
  bool is_code = inode != 0 && perms[0] == 'r' && perms[1] == '-' && perms[3] == 'p';
  *now = (mapping){start, end, is_code};
}

/* Gives back what is mapped of code that was never written to; the bytes that were mapped. */
static double release_code(void) {
  FILE *smaps = fopen("/proc/self/smaps", "re");
  if (smaps == NULL) return 0;
  char line[4352];
  double released = 0;
  unsigned long rss = 0;
  mapping now = {0, 0, false};
  while (fgets(line, sizeof line, smaps) != NULL) {
    unsigned long kib;
    if (sscanf(line, "Rss: %lu kB", &kib) == 1) rss = kib;
    else if (sscanf(line, "Anonymous: %lu kB", &kib) == 1) {
      /* A kernel that does not say it lets nothing go. */
      if (now.is_code && kib == 0 && rss > 0 && madvise((void *)now.start, now.end - now.start, MADV_DONTNEED) == 0)
        released += (double)rss * 1024;
      now.is_code = false;
    } else read_head(line, &now);
  }
  fclose(smaps);
  return released;
}

static napi_value release(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result = NULL;
  double released = release_code();
  malloc_trim(0);
  napi_create_double(env, released, &result);
  return result;
}

static napi_value yield_disk(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result = NULL;
  int priority = IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT;
  napi_get_boolean(env, syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) == 0, &result);
  return result;
}

static void add(napi_env env, napi_value exports, const char *name, napi_callback call) {
  napi_value function = NULL;
  if (napi_create_function(env, name, strlen(name), call, NULL, &function) == 0)
    napi_set_named_property(env, exports, name, function);
}

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  add(env, exports, "release", release);
  add(env, exports, "yieldDisk", yield_disk);
  return exports;
}
