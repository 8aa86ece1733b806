/* Reads a byte of a file through a mapping, then changes it: on tmpfs no time of the file tells that. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int file = argc == 2 ? open(argv[1], O_RDWR) : -1;
  off_t end = file < 0 ? 0 : lseek(file, 0, SEEK_END);
  volatile char *bytes = end < 1 ? MAP_FAILED : mmap(NULL, (size_t)end, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (bytes == MAP_FAILED) return 1;
  char last = bytes[end - 1];
  bytes[end - 1] = (char)(last ^ 1);
  return 0;
}
