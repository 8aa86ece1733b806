/* The smallest program that can be started: it exits with the code behind its mark. Built without a C library. */
volatile struct {
  char mark[16];
  unsigned char code;
  char line[40];
} self = {.mark = "ringwall-mark-01"};

__attribute__((noreturn)) void _start(void) {
  register long code = self.code;
#if defined(__x86_64__)
  __asm__ volatile("syscall" : : "a"(60L), "D"(code));
#elif defined(__aarch64__)
  register long number __asm__("x8") = 93;
  register long first __asm__("x0") = code;
  __asm__ volatile("svc 0" : : "r"(number), "r"(first));
#else
#error "no exit for this processor"
#endif
  for (;;) continue;
}
