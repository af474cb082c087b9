/* A clock that jumps every second, between twenty years ago and in twenty years. Loaded into the worker before libc. */

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TWENTY_YEARS (20L * 365 * 24 * 3600)

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = (int)syscall(SYS_clock_gettime, clock, time);
    if (!failed && clock == CLOCK_REALTIME)
        time->tv_sec += time->tv_sec % 2 ? TWENTY_YEARS : -TWENTY_YEARS;
    return failed;
}
