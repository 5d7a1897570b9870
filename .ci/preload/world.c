/* What is simulated: a kernel's clock, the ways to the servers, the servers, and the figures of a run. */
#include "sim.h"

#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings settings = {.limit = 60000, .settle = 10000, .date = 1767225600, .stamps = 1, .hack = 1, .seed = 1};
struct clocks clocks;

struct way {
    expression *delay;
    stream random;
    double twice, overtaken; /* shares of packets that come two times, and that are late by several queues */
};

static struct server {
    struct way up, down;
    expression *offset;                 /* of its clock */
    expression *is_unsynchronised, *kisses; /* above zero: it says so; it answers RATE */
    stream random;
    long asked;
} servers[MAX_SERVERS];

static expression *frequency;
static stream oscillator;
static struct timex kernel;
static double error_rate; /* of the oscillator, in this second */
static long single_shot, single_shot_rate;
static double loop_offset, loop_rate;
static int is_begun, is_reported, has_leapt;
static struct datagram *under_way, *arrived;

static double *errors, *frequencies;
static long seconds, asked, asked_settled;
static FILE *trace;

#define TICK 10000
#define MAX_SCALED (500L << 16)
#define MAX_ERROR 16000000

void give_up(const char *format, ...)
{
    char line[300];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line - 1, format, list);
    va_end(list);
    length = length < (int)sizeof line - 1 ? length : (int)sizeof line - 2;
    line[length++] = '\n';
    if (write(2, "preload: ", 9) < 0 || write(2, line, (size_t)length) < 0)
        _exit(71);
    _exit(70);
}

/* ---- the scenario ---- */

static expression *parsed(const char *key, const char *text)
{
    const char *why;
    expression *made = parse(text, &why);
    if (!made)
        give_up("%s %s: %s", key, text, why);
    return made;
}

static void set(const char *key, const char *text)
{
    const struct {
        const char *key;
        double *number;
    } numbers[] = {{"limit", &settings.limit}, {"settle", &settings.settle}, {"event", &settings.event}, {"offset", &settings.offset},
        {"bias", &settings.bias}, {"leap", &settings.leap}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key)) {
            *numbers[i].number = atof(text);
            return;
        }
    struct server *last = settings.servers ? &servers[settings.servers - 1] : NULL;
    if (!strcmp(key, "freq"))
        frequency = parsed(key, text);
    else if (!strcmp(key, "date"))
        settings.date = atoll(text);
    else if (!strcmp(key, "raw_steered"))
        settings.raw_steered = atoi(text);
    else if (!strcmp(key, "stamps"))
        settings.stamps = atoi(text);
    else if (!strcmp(key, "hack"))
        settings.hack = atoi(text);
    else if (!strcmp(key, "server") && settings.servers < MAX_SERVERS)
        settings.servers++;
    else if (last && !strcmp(key, "up"))
        last->up.delay = parsed(key, text);
    else if (last && !strcmp(key, "down"))
        last->down.delay = parsed(key, text);
    else if (last && !strcmp(key, "wrong"))
        last->offset = parsed(key, text);
    else if (last && !strcmp(key, "unsynchronised"))
        last->is_unsynchronised = parsed(key, text);
    else if (last && !strcmp(key, "kiss"))
        last->kisses = parsed(key, text);
    else if (last && !strcmp(key, "twice"))
        last->up.twice = last->down.twice = atof(text);
    else if (last && !strcmp(key, "overtaken"))
        last->up.overtaken = last->down.overtaken = atof(text);
    else
        give_up("unknown: %s %s", key, text);
}

static void load(void)
{
    const char *path = getenv("PRELOAD_SCENARIO"), *seed = getenv("PRELOAD_SEED"), *follow = getenv("PRELOAD_TRACE");
    static char text[65536];
    int file = path ? open(path, O_RDONLY) : -1;
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (length <= 0 || length == sizeof text - 1)
        give_up("PRELOAD_SCENARIO names no scenario");
    close(file);
    char *rest;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        size_t word = strcspn(line, " ");
        char *argument = line + word + strspn(line + word, " ");
        line[word] = '\0';
        set(line, argument);
    }
    if (seed)
        settings.seed = strtoull(seed, NULL, 10);
    if (follow && !(trace = fopen(follow, "w")))
        give_up("PRELOAD_TRACE: %s cannot be written", follow);
}

/* ---- the clock ---- */

static double steered_rate(void)
{
    double told = (double)kernel.tick / TICK + (double)kernel.freq / 65536e6 + loop_rate;
    return (1 + error_rate) * (told + (double)single_shot_rate / 1e6);
}

/* What true time has gone back by. */
static double leapt(double time)
{
    return settings.leap > 0 && time >= settings.leap;
}

/* A kernel that was told inserts the second at the end of its day. */
static void leap(double before)
{
    double day = (floor((before + (double)settings.date) / 86400) + 1) * 86400 - (double)settings.date;
    if (kernel.status & STA_INS && clocks.real >= day && !has_leapt) {
        clocks.real--;
        kernel.tai++;
        has_leapt = 1;
    }
}

static void advance(double interval)
{
    double steered = interval * steered_rate(), before = clocks.real;
    clocks.real += steered;
    leap(before);
    clocks.monotonic += steered;
    clocks.raw += settings.raw_steered ? steered : interval * (1 + error_rate);
}

/* At each of true time's seconds. */
static void second(void)
{
    error_rate = frequency ? value(frequency, clocks.now, &oscillator) : 0;
    if (kernel.status & STA_PLL) {
        loop_rate = loop_offset / (1 << (2 + kernel.constant));
        loop_offset -= loop_rate;
    }
    long most = single_shot > 500 ? 500 : single_shot < -500 ? -500 : single_shot;
    single_shot_rate = most;
    single_shot -= most;
    kernel.maxerror += 500;
    if (kernel.maxerror >= MAX_ERROR) {
        kernel.maxerror = MAX_ERROR;
        kernel.status |= STA_UNSYNC;
    }
    if (seconds < (long)settings.limit) {
        /* Within the inserted second a clock may be on either side. */
        double gone = clocks.now < settings.leap + 1 ? has_leapt : leapt(clocks.now);
        errors[seconds] = clocks.real + gone - clocks.now - settings.bias;
        frequencies[seconds++] = steered_rate() - 1;
        if (trace)
            fprintf(trace, "%ld %.9e %.6e\n", seconds - 1, errors[seconds - 1], frequencies[seconds - 1]);
    }
}

static long clamped(long number, long least, long most)
{
    return number < least ? least : number > most ? most : number;
}

int adjust(struct timex *t)
{
    int result = TIME_OK;
    int is_single = (t->modes & ADJ_OFFSET_SINGLESHOT) == ADJ_OFFSET_SINGLESHOT;
    if (is_single) {
        long left = single_shot, given = t->offset;
        int only_reads = (t->modes & ADJ_OFFSET_SS_READ) == ADJ_OFFSET_SS_READ;
        unsigned modes = t->modes;
        *t = kernel;
        t->modes = modes;
        t->offset = left;
        if (!only_reads)
            single_shot = given;
        return result;
    }
    if (t->modes & ADJ_FREQUENCY)
        kernel.freq = clamped(t->freq, -MAX_SCALED, MAX_SCALED);
    if (t->modes & ADJ_MAXERROR)
        kernel.maxerror = clamped(t->maxerror, 0, MAX_ERROR);
    if (t->modes & ADJ_ESTERROR)
        kernel.esterror = clamped(t->esterror, 0, MAX_ERROR);
    if (t->modes & ADJ_STATUS)
        kernel.status = t->status & 0xff;
    if (t->modes & ADJ_MICRO)
        kernel.status &= ~STA_NANO;
    if (t->modes & ADJ_NANO)
        kernel.status |= STA_NANO;
    if (t->modes & ADJ_TIMECONST)
        kernel.constant = clamped(t->constant + (kernel.status & STA_NANO ? 0 : 4), 0, 10);
    if (t->modes & ADJ_TICK) {
        if (t->tick < TICK - TICK / 10 || t->tick > TICK + TICK / 10)
            result = -1;
        else
            kernel.tick = t->tick;
    }
    double unit = kernel.status & STA_NANO ? 1e-9 : 1e-6;
    if (t->modes & ADJ_OFFSET)
        loop_offset = (double)t->offset * unit;
    if (t->modes & ADJ_SETOFFSET) {
        clocks.real += (double)t->time.tv_sec + (double)t->time.tv_usec * unit;
        kernel.maxerror = MAX_ERROR;
        single_shot = single_shot_rate = 0;
    }
    if (t->modes & ADJ_TAI)
        kernel.tai = (int)t->constant;
    unsigned modes = t->modes;
    *t = kernel;
    t->modes = modes;
    return result;
}

void slew_by(long micros, long *left)
{
    *left = single_shot;
    single_shot = micros;
}

/* ---- the network ---- */

static void enqueue(struct datagram **queue, struct datagram *datagram)
{
    while (*queue && (*queue)->arrives <= datagram->arrives)
        queue = &(*queue)->next;
    datagram->next = *queue;
    *queue = datagram;
}

/* How long the way takes for a packet of this moment; none above zero: lost. */
static double delay(struct way *way, double time)
{
    double took = way->delay ? value(way->delay, time, &way->random) : -1;
    if (took > 0 && way->overtaken > 0 && uniform(&way->random) < way->overtaken) {
        double other = value(way->delay, time, &way->random);
        took += 10 * fabs(other - took) * uniform(&way->random);
    }
    return took;
}

static void put32(unsigned char *at, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(number >> (24 - 8 * i));
}

static void put_time(unsigned char *at, double time)
{
    double whole = floor(time);
    put32(at, (uint32_t)((long long)whole + settings.date + 2208988800));
    put32(at + 4, (uint32_t)((time - whole) * 4294967296.0));
}

static int is_now(expression *what, struct server *server, double at)
{
    return what && value(what, at, &server->random) > 0;
}

/* A primary server's answer; its precision is 2^-23 s, below which stamps are noise. */
static size_t answer(struct server *server, double at, const unsigned char *request, size_t length, unsigned char *out)
{
    int version = request[0] >> 3 & 7;
    if (length < 48 || (request[0] & 7) != 3 || version < 1 || version > 4)
        return 0;
    double its = at - leapt(at) + (server->offset ? value(server->offset, at, &server->random) : 0);
    int kisses = is_now(server->kisses, server, at), is_alarm = kisses || is_now(server->is_unsynchronised, server, at);
    int announces = settings.leap > 0 && at < settings.leap && at >= settings.leap - 86400;
    memset(out, 0, 48);
    out[0] = (unsigned char)((is_alarm ? 3 : announces) << 6 | version << 3 | 4);
    out[1] = kisses ? 0 : is_alarm ? 16 : 1;
    out[2] = request[2];
    out[3] = (unsigned char)-23;
    put32(out + 12, kisses ? 0x52415445 : is_alarm ? 0x494e4954 : 0x7f7f0101);
    put_time(out + 16, its);
    memcpy(out + 24, request + 40, 8);
    put_time(out + 32, its + ldexp(uniform(&server->random), -23));
    put_time(out + 40, its + ldexp(uniform(&server->random), -23));
    return 48;
}

static void send_answer(int index, double at, int from_port, int to_port, const unsigned char *octets, size_t length)
{
    struct server *server = &servers[index];
    struct datagram datagram = {.server = index, .from_port = to_port, .to_port = from_port};
    datagram.length = answer(server, at, octets, length, datagram.octets);
    int copies = datagram.length ? 1 + (uniform(&server->random) < server->down.twice) : 0;
    while (copies-- > 0) {
        double took = delay(&server->down, at);
        if (trace)
            fprintf(trace, "# %.9f server %d down %.9f\n", at, index + 1, took);
        if (took <= 0)
            continue;
        struct datagram *sent = malloc(sizeof *sent);
        if (!sent)
            give_up("no memory");
        *sent = datagram;
        sent->arrives = at + took;
        enqueue(&under_way, sent);
    }
}

void send_request(int index, int from_port, int to_port, const unsigned char *octets, size_t length)
{
    if (index < 0 || index >= settings.servers || is_over())
        return;
    struct server *server = &servers[index];
    server->asked++;
    asked++;
    asked_settled += clocks.now >= settings.settle;
    int copies = 1 + (uniform(&server->random) < server->up.twice);
    while (copies-- > 0) {
        double took = delay(&server->up, clocks.now);
        if (trace)
            fprintf(trace, "# %.9f server %d up %.9f\n", clocks.now, index + 1, took);
        if (took > 0 && to_port == 123)
            send_answer(index, clocks.now + took, from_port, to_port, octets, length);
    }
}

struct datagram *waiting(void)
{
    return arrived;
}

void take(struct datagram *first)
{
    arrived = first->next;
    free(first);
}

/* ---- time ---- */

void begin(void)
{
    if (is_begun)
        return;
    is_begun = 1;
    load();
    kernel = (struct timex){.tick = TICK, .tolerance = MAX_SCALED, .precision = 1, .maxerror = MAX_ERROR,
        .esterror = MAX_ERROR, .status = STA_UNSYNC};
    seed_stream(&oscillator, settings.seed, 1);
    for (int i = 0; i < settings.servers; i++) {
        seed_stream(&servers[i].random, settings.seed, 100 + (uint64_t)i);
        seed_stream(&servers[i].up.random, settings.seed, 200 + (uint64_t)i);
        seed_stream(&servers[i].down.random, settings.seed, 300 + (uint64_t)i);
    }
    errors = calloc((size_t)settings.limit + 1, sizeof *errors);
    frequencies = calloc((size_t)settings.limit + 1, sizeof *frequencies);
    if (!errors || !frequencies)
        give_up("no memory");
    clocks.real = settings.offset;
    second();
}

int is_over(void)
{
    return clocks.now >= settings.limit;
}

void pass(double deadline)
{
    double next = clocks.now + fmax(deadline - clocks.monotonic, 0) / steered_rate();
    int is_second = 0, is_arrival = 0;
    if (under_way && under_way->arrives <= next) {
        next = fmax(under_way->arrives, clocks.now);
        is_arrival = 1;
    }
    if (floor(clocks.now + 1) <= next) {
        next = floor(clocks.now + 1);
        is_second = 1;
        is_arrival = 0;
    }
    advance(next - clocks.now);
    clocks.now = next;
    if (!is_second && !is_arrival && clocks.monotonic < deadline)
        clocks.monotonic = deadline; /* what rounding left */
    if (is_second)
        second();
    while (under_way && under_way->arrives <= clocks.now) {
        struct datagram *first = under_way;
        under_way = first->next;
        struct datagram **last = &arrived;
        while (*last)
            last = &(*last)->next;
        first->next = NULL;
        *last = first;
    }
    if (is_over())
        report();
}

/* ---- the figures ---- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Seconds from `from` on until the error came below `threshold` and stayed there for a minute. */
static long time_to(long from, double threshold)
{
    long since = from;
    for (long at = from; at < seconds; at++) {
        if (fabs(errors[at]) >= threshold)
            since = at + 1;
        else if (at + 1 - since >= 60)
            return since - from;
    }
    return -1;
}

void report(void)
{
    if (is_reported || !is_begun)
        return;
    is_reported = 1;
    double ended = clocks.now;
    while (!is_over()) {
        advance(floor(clocks.now + 1) - clocks.now);
        clocks.now = floor(clocks.now + 1);
        second();
    }
    long first = (long)settings.settle, n = seconds - first;
    double squares = 0, frequency_squares = 0, *sorted = calloc((size_t)(n > 0 ? n : 1), sizeof *sorted);
    for (long at = first; sorted && at < seconds; at++) {
        squares += errors[at] * errors[at];
        frequency_squares += frequencies[at] * frequencies[at];
        sorted[at - first] = fabs(errors[at]);
    }
    const char *path = getenv("PRELOAD_REPORT");
    char line[700];
    int length = 0;
    if (sorted && n > 0) {
        qsort(sorted, (size_t)n, sizeof *sorted, compare);
        length = snprintf(line, sizeof line,
            "{\"rms\": %.6e, \"p95\": %.6e, \"max\": %.6e, \"rms_freq\": %.6e, \"to_1ms\": %ld, \"to_100us\": %ld, "
            "\"recovery_1ms\": %ld, \"recovery_100us\": %ld, \"packets\": %ld, \"packets_in_all\": %ld, \"ended\": %.3f}\n",
            sqrt(squares / (double)n), sorted[n * 95 / 100], sorted[n - 1], sqrt(frequency_squares / (double)n),
            time_to(0, 1e-3), time_to(0, 1e-4), time_to((long)settings.event, 1e-3),
            time_to((long)settings.event, 1e-4), asked_settled, asked, ended);
    }
    int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : 2;
    if (file < 0 || write(file, line, (size_t)length) != length)
        give_up("PRELOAD_REPORT: %s cannot be written", path);
    if (file != 2)
        close(file);
    if (trace)
        fflush(trace);
    free(sorted);
}
