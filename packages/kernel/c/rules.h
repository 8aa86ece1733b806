/* Which paths a walk enters. The rules are given before it begins and do not change: any thread may ask. */
#ifndef RINGWALL_RULES_H
#define RINGWALL_RULES_H
#include "common.h"

/* Neither this path nor what is below it is entered. The text is kept. */
void rules_exclude(char *path);
/* "rule number:mount point", as in src/walk.ts; the text is kept. Answers 0 when it is no such order. */
int rules_mount(char *order);
/* To be called behind the last rule. */
void rules_end(void);

int is_excluded(const char *path, size_t length);
/* The mount that a path lies on; 0 where none is known. */
uint16_t mount_around(const char *path, size_t length);
/* Why a directory is not entered, 0 when it is. `mount` is the one around it, and becomes its own. */
int reason_to_pass(const char *path, size_t length, int is_root, uint16_t *mount);
#endif
