/* Preloaded under other people's daemons: a clock that seems to obey and stands still. They have no right to change it
   anyway; but some serve nothing before a change has succeeded, and some end when one fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
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
