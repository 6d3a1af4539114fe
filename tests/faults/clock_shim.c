/* Shifts the clocks of one process: preload it, with the path of a file of 4096 bytes in SHIFTS that begins with three
   doubles, the seconds to add to CLOCK_REALTIME, CLOCK_MONOTONIC and CLOCK_BOOTTIME; they may change at any time. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile double *shifts;

__attribute__((constructor)) static void begin(void) {
  int file = open(getenv("SHIFTS"), O_RDONLY | O_CLOEXEC);
  void *found = file < 0 ? MAP_FAILED : mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
  if (found == MAP_FAILED) abort();
  close(file);
  shifts = found;
}

static int place(clockid_t clock) {
  return clock == CLOCK_REALTIME ? 0 : clock == CLOCK_MONOTONIC ? 1 : clock == CLOCK_BOOTTIME ? 2 : -1;
}

int clock_gettime(clockid_t clock, struct timespec *told) {
  int failed = syscall(SYS_clock_gettime, clock, told);
  if (!failed && shifts && place(clock) >= 0) {
    double whole = floor(shifts[place(clock)]);
    long nanoseconds = told->tv_nsec + (long)((shifts[place(clock)] - whole) * 1e9);
    told->tv_sec += (time_t)whole + nanoseconds / 1000000000;
    told->tv_nsec = nanoseconds % 1000000000;
  }
  return failed;
}
