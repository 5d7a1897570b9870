/* Preloaded under other people's daemons: a clock that seems to obey and stands still. They have no right to change it
   anyway; but some serve nothing before a change has succeeded, and some end when one fails. With HURRY=N in the
   environment the monotonic clock runs N times as fast and poll(2) waits an Nth, for who takes minutes to make up its mind. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

typedef int adjust(clockid_t clock, struct timex *timex);

/* What is asked is read, what is ordered is not done. */
int clock_adjtime(clockid_t clock, struct timex *timex)
{
    struct timex found = {0};
    int state = ((adjust *)dlsym(RTLD_NEXT, "clock_adjtime"))(clock, &found);
    found.modes = timex->modes;
    *timex = found;
    return state;
}

int adjtimex(struct timex *timex) { return clock_adjtime(CLOCK_REALTIME, timex); }
int ntp_adjtime(struct timex *timex) { return adjtimex(timex); }

int adjtime(const struct timeval *delta, struct timeval *old)
{
    (void)delta;
    if (old)
        *old = (struct timeval){0};
    return 0;
}

int settimeofday(const struct timeval *time, const struct timezone *zone) { (void)time, (void)zone; return 0; }
int clock_settime(clockid_t clock, const struct timespec *time) { (void)clock, (void)time; return 0; }

static long hurry(void) { const char *n = getenv("HURRY"); return n && atol(n) > 0 ? atol(n) : 1; }

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int error = ((int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"))(clock, time);
    if (!error && clock == CLOCK_MONOTONIC) {
        long nanos = time->tv_nsec * hurry();
        time->tv_sec = time->tv_sec * hurry() + nanos / 1000000000;
        time->tv_nsec = nanos % 1000000000;
    }
    return error;
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int (*real)(struct pollfd *, nfds_t, int) = (int (*)(struct pollfd *, nfds_t, int))dlsym(RTLD_NEXT, "poll");
    return real(fds, count, timeout > 0 ? (int)(timeout / hurry()) : timeout);
}
