/* The calls of the C library that the simulation answers, and those that it refuses. */
#define _GNU_SOURCE
#include "sim.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#include <linux/net_tstamp.h>

#define NETWORK 0xc0a87b00u /* 192.168.123.0; server i is .i, counted from one */
#define SOCKETS 20
#define FIRST_FD 100
#define FIRST_PORT 60000
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct socket {
    int is_open, port, peer, peer_port, wants_info, stamps;
} sockets[SOCKETS];
static int is_hacked = 1, ends;
static stream chance;

__attribute__((constructor)) static void start(void)
{
    begin();
    seed_stream(&chance, settings.seed, 2);
    is_hacked = settings.hack;
}

__attribute__((destructor)) static void finish(void)
{
    report();
}

static struct socket *socket_of(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + SOCKETS && sockets[fd - FIRST_FD].is_open ? &sockets[fd - FIRST_FD] : NULL;
}

static int refused(int number)
{
    errno = number;
    return -1;
}

/* ---- clocks ---- */

static struct timespec shown(double time, long long since)
{
    time += 0.5e-9;
    double whole = floor(time);
    return (struct timespec){.tv_sec = (time_t)whole + since, .tv_nsec = (long)((time - whole) * 1e9)};
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static long reading;
    begin();
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE: *out = shown(clocks.real, settings.date); break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE: *out = shown(clocks.monotonic, 0); break;
    case CLOCK_MONOTONIC_RAW: *out = shown(clocks.raw, 0); break;
    default: give_up("clock_gettime: clock %d is not simulated", clock);
    }
    if (is_hacked) {
        out->tv_nsec += reading++ * 101;
        out->tv_sec += out->tv_nsec / 1000000000;
        out->tv_nsec %= 1000000000;
    }
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

int clock_getres(clockid_t clock, struct timespec *out)
{
    if (out)
        *out = (struct timespec){.tv_nsec = 1};
    return 0;
}

int clock_settime(clockid_t clock, const struct timespec *to)
{
    if (clock != CLOCK_REALTIME || to->tv_sec < 0)
        return refused(EINVAL);
    clocks.real = (double)(to->tv_sec - settings.date) + (double)to->tv_nsec * 1e-9;
    return 0;
}

int settimeofday(const struct timeval *to, const struct timezone *zone)
{
    if (!to)
        return refused(EINVAL);
    return clock_settime(CLOCK_REALTIME, &(struct timespec){.tv_sec = to->tv_sec, .tv_nsec = 1000 * to->tv_usec});
}

int adjtimex(struct timex *timex)
{
    int state = adjust(timex);
    return state < 0 ? refused(EINVAL) : state;
}

int ntp_adjtime(struct timex *timex)
{
    return adjtimex(timex);
}

int clock_adjtime(clockid_t clock, struct timex *timex)
{
    if (clock != CLOCK_REALTIME)
        give_up("clock_adjtime: clock %d is not simulated", clock);
    return adjtimex(timex);
}

int adjtime(const struct timeval *by, struct timeval *left)
{
    struct timex timex = {.modes = by ? ADJ_OFFSET_SINGLESHOT : ADJ_OFFSET_SS_READ};
    if (by)
        timex.offset = by->tv_sec * 1000000 + by->tv_usec;
    adjust(&timex);
    if (left)
        *left = (struct timeval){.tv_sec = timex.offset / 1000000, .tv_usec = timex.offset % 1000000};
    return 0;
}

/* ---- waiting ---- */

/* Which socket a datagram is for; -1 when for none. */
static int receiver(const struct datagram *datagram)
{
    for (int i = 0; i < SOCKETS; i++) {
        const struct socket *s = &sockets[i];
        if (s->is_open && s->port == datagram->to_port && (s->peer < 0 || s->peer == datagram->server) &&
            (s->peer_port < 0 || s->peer_port == datagram->from_port))
            return i;
    }
    return -1;
}

/* Waits for one of the sockets; its number, -1 when the time is up, -2 when a signal came. Only here does time pass. */
static int wait_for(const char wanted[SOCKETS], double timeout)
{
    int is_wanted = memchr(wanted, 1, SOCKETS) != NULL;
    double deadline = clocks.monotonic + timeout;
    for (;;) {
        if (is_over()) {
            if (++ends > 20)
                give_up("the program does not end");
            kill(getpid(), SIGTERM);
            errno = EINTR;
            return -2;
        }
        if (clocks.monotonic >= deadline) {
            is_hacked &= clocks.monotonic < 0.1;
            return -1;
        }
        while (is_wanted && waiting()) {
            int for_whom = receiver(waiting());
            if (for_whom >= 0 && wanted[for_whom]) {
                is_hacked = 0;
                return for_whom;
            }
            take(waiting());
        }
        pass(deadline);
    }
}

int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout)
{
    char wanted[SOCKETS] = {0};
    int at_once = -1, is_for_write = 0;
    for (int fd = 0; fd < count && at_once < 0; fd++) {
        if (writable && FD_ISSET(fd, writable) && socket_of(fd)) {
            at_once = fd;
            is_for_write = 1;
        } else if (readable && FD_ISSET(fd, readable)) {
            if (socket_of(fd))
                wanted[fd - FIRST_FD] = 1;
            else
                at_once = fd; /* anything else is always ready */
        }
    }
    if (readable)
        FD_ZERO(readable);
    if (writable)
        FD_ZERO(writable);
    if (exceptional)
        FD_ZERO(exceptional);
    if (at_once >= 0) {
        FD_SET(at_once, is_for_write ? writable : readable);
        return 1;
    }
    double before = clocks.monotonic;
    double longest = timeout ? (double)timeout->tv_sec + (double)(timeout->tv_usec + 1) / 1e6 : 1e20;
    int found = wait_for(wanted, longest);
    if (found == -2)
        return -1;
    if (timeout) {
        double left = fmax((double)timeout->tv_sec + (double)timeout->tv_usec / 1e6 - (clocks.monotonic - before), 0);
        *timeout = (struct timeval){.tv_sec = (time_t)left, .tv_usec = (suseconds_t)((left - floor(left)) * 1e6)};
    }
    if (found < 0)
        return 0;
    FD_SET(found + FIRST_FD, readable);
    return 1;
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    fd_set readable, writable;
    int most = -1, ready = 0;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    for (nfds_t i = 0; i < count; i++) {
        if (fds[i].fd < 0)
            continue;
        if (fds[i].fd >= FD_SETSIZE)
            give_up("poll: descriptor %d", fds[i].fd);
        if (fds[i].events & POLLIN)
            FD_SET(fds[i].fd, &readable);
        if (fds[i].events & POLLOUT)
            FD_SET(fds[i].fd, &writable);
        most = fds[i].fd > most ? fds[i].fd : most;
    }
    struct timeval longest = {.tv_sec = timeout / 1000, .tv_usec = timeout % 1000 * 1000};
    if (select(most + 1, &readable, &writable, NULL, timeout < 0 ? NULL : &longest) < 0)
        return -1;
    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (fds[i].fd >= 0 && FD_ISSET(fds[i].fd, &readable))
            fds[i].revents |= POLLIN;
        if (fds[i].fd >= 0 && FD_ISSET(fds[i].fd, &writable))
            fds[i].revents |= POLLOUT;
        ready += fds[i].revents != 0;
    }
    return ready;
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t size)
{
    return poll(fds, count, timeout);
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    const char nobody[SOCKETS] = {0};
    if (left)
        *left = (struct timespec){0};
    return wait_for(nobody, (double)wanted->tv_sec + (double)wanted->tv_nsec / 1e9) == -2 ? -1 : 0;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *wanted, struct timespec *left)
{
    if (flags || (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME))
        give_up("clock_nanosleep: clock %d, flags %d are not simulated", clock, flags);
    return nanosleep(wanted, left) < 0 ? EINTR : 0;
}

int usleep(useconds_t micros)
{
    return nanosleep(&(struct timespec){.tv_sec = micros / 1000000, .tv_nsec = micros % 1000000 * 1000}, NULL);
}

unsigned sleep(unsigned seconds)
{
    nanosleep(&(struct timespec){.tv_sec = seconds}, NULL);
    return 0;
}

/* ---- sockets ---- */

int socket(int domain, int type, int protocol)
{
    if (domain != AF_INET || type != SOCK_DGRAM)
        return refused(EINVAL);
    for (int i = 0; i < SOCKETS; i++)
        if (!sockets[i].is_open) {
            sockets[i] = (struct socket){.is_open = 1, .port = FIRST_PORT + i, .peer = -1, .peer_port = -1};
            return FIRST_FD + i;
        }
    return refused(ENOMEM);
}

int close(int fd)
{
    struct socket *s = socket_of(fd);
    if (!s)
        return REAL(close)(fd);
    s->is_open = 0;
    return 0;
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct socket *s = socket_of(fd);
    if (!s || address->sa_family != AF_INET || length < sizeof(struct sockaddr_in))
        return refused(EINVAL);
    int port = ntohs(((const struct sockaddr_in *)address)->sin_port);
    if (port)
        s->port = port;
    return 0;
}

static int server_of(const struct sockaddr *address, socklen_t length, int *port)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    if (!address || length < sizeof *in || in->sin_family != AF_INET)
        return -1;
    *port = ntohs(in->sin_port);
    uint32_t host = ntohl(in->sin_addr.s_addr);
    if ((host & 0xffffff00) != NETWORK)
        give_up("an address outside 192.168.123.0/24");
    return (int)(host & 0xff) - 1;
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    struct socket *s = socket_of(fd);
    int port, server = server_of(address, length, &port);
    if (!s || server < 0)
        return refused(EINVAL);
    s->peer = server;
    s->peer_port = port;
    return 0;
}

static struct sockaddr_in name(uint32_t host, int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(host)};
}

int getsockname(int fd, struct sockaddr *restrict out, socklen_t *restrict length)
{
    struct socket *s = socket_of(fd);
    if (!s || *length < sizeof(struct sockaddr_in))
        return refused(EINVAL);
    struct sockaddr_in own = name(s->peer < 0 ? INADDR_ANY : NETWORK + (uint32_t)settings.servers + 1, s->port);
    memcpy(out, &own, sizeof own);
    *length = sizeof own;
    return 0;
}

int setsockopt(int fd, int level, int option, const void *set, socklen_t length)
{
    struct socket *s = socket_of(fd);
    if (!s)
        return refused(EINVAL);
    int number = 0;
    if (length >= sizeof number)
        memcpy(&number, set, sizeof number);
    if (level == SOL_SOCKET && option == SO_BINDTODEVICE)
        return refused(EINVAL);
    if (level == IPPROTO_IP && option == IP_PKTINFO)
        s->wants_info = number;
    if (level == SOL_SOCKET && option == SO_TIMESTAMPING) {
        if (!settings.stamps)
            return refused(EINVAL);
        s->stamps = number;
    }
    return 0; /* granted, though nothing comes of it */
}

int getsockopt(int fd, int level, int option, void *restrict out, socklen_t *restrict length)
{
    if (!socket_of(fd) || level != SOL_SOCKET || option != SO_ERROR || *length != sizeof(int))
        return refused(EINVAL);
    memset(out, 0, sizeof(int));
    return 0;
}

int fcntl(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    long argument = va_arg(list, long);
    va_end(list);
    /* F_DUPFD, F_GETFL and F_SETFL of files; all else is granted, though nothing comes of it. */
    return !socket_of(fd) && (command == 0 || command == 3 || command == 4) ? REAL(fcntl)(fd, command, argument) : 0;
}

int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

int ioctl(int fd, unsigned long request, ...)
{
    return refused(EINVAL);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct socket *s = socket_of(fd);
    if (!s)
        give_up("sendmsg: descriptor %d", fd);
    int server = s->peer, port = s->peer_port;
    if (server >= 0 && message->msg_name)
        return refused(EISCONN);
    if (server < 0 && (server = server_of(message->msg_name, message->msg_namelen, &port)) < 0)
        return refused(EINVAL);
    unsigned char octets[MAX_DATAGRAM];
    size_t length = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        if (message->msg_iov[i].iov_len > sizeof octets - length)
            return refused(EMSGSIZE);
        memcpy(octets + length, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        length += message->msg_iov[i].iov_len;
    }
    send_request(server, s->port, port, octets, length);
    return (ssize_t)length;
}

ssize_t sendto(int fd, const void *octets, size_t length, int flags, const struct sockaddr *to, socklen_t to_length)
{
    struct iovec vector = {.iov_base = (void *)octets, .iov_len = length};
    struct msghdr message = {
        .msg_name = (void *)to, .msg_namelen = to_length, .msg_iov = &vector, .msg_iovlen = 1};
    return sendmsg(fd, &message, flags);
}

ssize_t send(int fd, const void *octets, size_t length, int flags)
{
    return sendto(fd, octets, length, flags, NULL, 0);
}

/* Appends a control message. */
static void tell(struct msghdr *message, size_t *used, int level, int type, const void *what, size_t size)
{
    if (!message->msg_control || message->msg_controllen < *used + CMSG_SPACE(size))
        give_up("recvmsg: no room for a control message of %zu octets", size);
    struct cmsghdr *head = (struct cmsghdr *)((char *)message->msg_control + *used);
    memset(head, 0, CMSG_SPACE(size));
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
    memcpy(CMSG_DATA(head), what, size);
    *used += CMSG_SPACE(size);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct socket *s = socket_of(fd);
    struct datagram *first = waiting();
    if (!s || message->msg_iovlen != 1)
        give_up("recvmsg: descriptor %d, %zu pieces", fd, (size_t)message->msg_iovlen);
    if (flags & MSG_ERRQUEUE || !first)
        return refused(EWOULDBLOCK);
    if (receiver(first) != fd - FIRST_FD)
        give_up("recvmsg: the next datagram is for another socket; read one only after poll or select named it");
    if (message->msg_name) {
        struct sockaddr_in from = name(NETWORK + (uint32_t)first->server + 1, first->from_port);
        if (message->msg_namelen < sizeof from)
            give_up("recvmsg: no room for a name");
        memcpy(message->msg_name, &from, sizeof from);
        message->msg_namelen = sizeof from;
    }
    size_t length = first->length < message->msg_iov->iov_len ? first->length : message->msg_iov->iov_len, used = 0;
    memcpy(message->msg_iov->iov_base, first->octets, length);
    if (s->wants_info) {
        struct in_pktinfo info = {.ipi_ifindex = 1};
        info.ipi_addr.s_addr = info.ipi_spec_dst.s_addr = htonl(NETWORK + (uint32_t)settings.servers + 1);
        tell(message, &used, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
    if (s->stamps & (SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_RX_HARDWARE)) {
        struct timespec stamps[3] = {{0}};
        if (s->stamps & SOF_TIMESTAMPING_SOFTWARE)
            clock_gettime(CLOCK_REALTIME, &stamps[0]);
        tell(message, &used, SOL_SOCKET, SCM_TIMESTAMPING, stamps, sizeof stamps);
    }
    message->msg_controllen = used;
    message->msg_flags = 0;
    take(first);
    return (ssize_t)length;
}

ssize_t recvfrom(
    int fd, void *restrict octets, size_t length, int flags, struct sockaddr *restrict from, socklen_t *restrict from_length)
{
    struct iovec vector = {.iov_base = octets, .iov_len = length};
    struct msghdr message = {
        .msg_name = from, .msg_namelen = from_length ? *from_length : 0, .msg_iov = &vector, .msg_iovlen = 1};
    ssize_t received = recvmsg(fd, &message, flags);
    if (from_length)
        *from_length = message.msg_namelen;
    return received;
}

ssize_t recv(int fd, void *octets, size_t length, int flags)
{
    return recvfrom(fd, octets, length, flags, NULL, NULL);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    ssize_t length = recvmsg(fd, &messages->msg_hdr, flags);
    if (length < 0)
        return -1;
    messages->msg_len = (unsigned)length;
    return 1;
}

/* ---- chance ---- */

ssize_t getrandom(void *out, size_t length, unsigned flags)
{
    for (size_t i = 0; i < length; i++)
        ((unsigned char *)out)[i] = (unsigned char)(bits(&chance) >> 32);
    return (ssize_t)length;
}

void arc4random_buf(void *out, size_t length)
{
    getrandom(out, length, 0);
}

uint32_t arc4random(void)
{
    return (uint32_t)(bits(&chance) >> 32);
}

void srandom(unsigned seed)
{
    REAL(srandom)((unsigned)settings.seed);
}

/* ---- who and what else ---- */

uid_t getuid(void)
{
    return 0;
}

uid_t geteuid(void)
{
    return 0;
}


#define REFUSE(type, name, parameters) \
    type name parameters \
    { \
        give_up(#name " is not simulated"); \
    }
/* What the simulation does not know would wait for ever, or reach the machine's own clock. */
REFUSE(int, ppoll, (struct pollfd * a, nfds_t b, const struct timespec *c, const sigset_t *d))
REFUSE(int, pselect,
    (int a, fd_set *restrict b, fd_set *restrict c, fd_set *restrict d, const struct timespec *restrict e,
        const sigset_t *restrict f))
REFUSE(int, epoll_create, (int a))
REFUSE(int, epoll_create1, (int a))
REFUSE(int, signalfd, (int a, const sigset_t *b, int c))
REFUSE(int, timerfd_create, (int a, int b))
REFUSE(int, eventfd, (unsigned a, int b))
REFUSE(int, stime, (const time_t *a))
REFUSE(int, ntp_gettimex, (struct ntptimeval * a))
REFUSE(pid_t, fork, (void))
REFUSE(pid_t, vfork, (void))
REFUSE(int, sendmmsg, (int a, struct mmsghdr *b, unsigned c, int d))
REFUSE(int, pthread_create,
    (pthread_t *restrict a, const pthread_attr_t *restrict b, void *(*c)(void *), void *restrict d))

long syscall(long number, ...)
{
    va_list list;
    va_start(list, number);
    if (number == SYS_getrandom) {
        void *out = va_arg(list, void *);
        size_t length = va_arg(list, size_t);
        va_end(list);
        return getrandom(out, length, 0);
    }
    if (number == SYS_clock_adjtime) {
        clockid_t clock = va_arg(list, clockid_t);
        struct timex *timex = va_arg(list, struct timex *);
        va_end(list);
        return clock_adjtime(clock, timex);
    }
    give_up("syscall %ld is not simulated", number);
}
