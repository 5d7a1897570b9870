/* A simulated machine under one dynamically linked program: its clock, and a network of time servers. */
#ifndef SIM_H
#define SIM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/timex.h>

/* expression.c: numbers made of numbers, see README. */
typedef struct expression expression;
typedef struct {
    uint64_t state[4];
    double spare;
    int has_spare;
} stream;

void seed_stream(stream *random, uint64_t seed, uint64_t purpose);
uint64_t bits(stream *random);
double uniform(stream *random);
/* NULL when `text` is none; `why` then says so. */
expression *parse(const char *text, const char **why);
/* The value at `time` seconds, drawing from `random`. A sum goes on at every call. */
double value(expression *expression, double time, stream *random);

/* world.c: what is. */
#define MAX_SERVERS 18
#define MAX_DATAGRAM 1024

struct datagram {
    double arrives;
    int server; /* whose answer it is: the index, not the node's number */
    int from_port, to_port;
    size_t length;
    unsigned char octets[MAX_DATAGRAM];
    struct datagram *next;
};

/* As scenario files name them. */
extern struct settings {
    double limit, settle, offset, bias, event;
    double leap;     /* when a second is inserted into UTC, which the servers announce for a day; 0: never */
    long long date;  /* of true time zero, in seconds since 1970 */
    int raw_steered; /* CLOCK_MONOTONIC_RAW goes with the steered clock */
    int stamps;      /* SO_TIMESTAMPING is granted */
    int hack;        /* readings differ before the first wait of a tenth of a second */
    int servers;
    uint64_t seed;
} settings;

/* True time, and the three clocks, in seconds since the start. */
extern struct clocks {
    double now, real, monotonic, raw;
} clocks;

void begin(void);
/* Lets time pass until the next event, at most until the monotonic clock shows `deadline`. */
void pass(double deadline);
int is_over(void);
/* The oldest datagram that has arrived and was not taken; NULL when there is none. */
struct datagram *waiting(void);
void take(struct datagram *first);
void send_request(int server, int from_port, int to_port, const unsigned char *octets, size_t length);
int adjust(struct timex *timex);
void slew_by(long micros, long *left);
/* Runs the clock to the end of the scenario, if it is not there yet, and writes the report. */
void report(void);
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
