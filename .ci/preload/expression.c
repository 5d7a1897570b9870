/* Number expressions: (+ 2e-2 (* 1e-3 (exponential))) and the like. */
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum kind { NUMBER, TIME, ADD, MULTIPLY, MODULO, EQUAL, MAX, MIN, SUM, UNIFORM, NORMAL, EXPONENTIAL, POISSON, PULSE, SINE,
    COSINE, TRIANGLE, ABSOLUTE, GAMMA, PARETO, CORRELATED, FLICKER };

#define MAX_PARTS 8

struct expression {
    enum kind kind;
    double number; /* the constant, the running sum, or how often it was asked */
    double memory[MAX_PARTS], since;
    int count;
    expression *parts[MAX_PARTS];
};

static const struct {
    const char *name;
    enum kind kind;
    int least, most;
} functions[] = {
    {"+", ADD, 1, MAX_PARTS}, {"*", MULTIPLY, 1, MAX_PARTS}, {"%", MODULO, 2, 2}, {"equal", EQUAL, 2, MAX_PARTS},
    {"max", MAX, 1, MAX_PARTS}, {"min", MIN, 1, MAX_PARTS}, {"sum", SUM, 1, MAX_PARTS}, {"uniform", UNIFORM, 0, 0},
    {"normal", NORMAL, 0, 0}, {"exponential", EXPONENTIAL, 0, 0}, {"poisson", POISSON, 1, 1}, {"pulse", PULSE, 2, 2},
    {"sine", SINE, 1, 1}, {"cosine", COSINE, 1, 1}, {"triangle", TRIANGLE, 1, 1},
    /* Of our own: a magnitude; a shape; a tail's index (starting at zero); seconds of correlation, mean 1; eight octaves of 1/f. */
    {"abs", ABSOLUTE, 1, 1}, {"gamma", GAMMA, 1, 1}, {"pareto", PARETO, 1, 1}, {"correlated", CORRELATED, 1, 1}, {"flicker", FLICKER, 0, 0},
};

static const char blank[] = " \t\n\r", ends[] = " \t\n\r()";

static expression *parse_at(const char **at, const char **why)
{
    expression *made = calloc(1, sizeof *made);
    *at += strspn(*at, blank);
    if (**at != '(') {
        size_t length = strcspn(*at, ends);
        char *end;
        if (length == 4 && !strncmp(*at, "time", 4)) {
            made->kind = TIME;
        } else {
            made->number = strtod(*at, &end);
            if (!length || end != *at + length)
                *why = "no number";
        }
        *at += length;
        return made;
    }
    *at += 1 + strspn(*at + 1, blank);
    size_t length = strcspn(*at, ends), known = 0;
    const size_t all = sizeof functions / sizeof *functions;
    while (known < all && (strlen(functions[known].name) != length || strncmp(functions[known].name, *at, length)))
        known++;
    if (known == all) {
        *why = "no such function";
        return made;
    }
    made->kind = functions[known].kind;
    *at += length;
    for (*at += strspn(*at, blank); **at && **at != ')' && !*why; *at += strspn(*at, blank)) {
        if (made->count == functions[known].most) {
            *why = "too many arguments";
            return made;
        }
        made->parts[made->count++] = parse_at(at, why);
    }
    if (**at == ')')
        ++*at;
    else if (!*why)
        *why = "a parenthesis is not closed";
    if (!*why && made->count < functions[known].least)
        *why = "too few arguments";
    return made;
}

expression *parse(const char *text, const char **why)
{
    *why = NULL;
    expression *made = parse_at(&text, why);
    text += strspn(text, blank);
    if (*text && !*why)
        *why = "something follows it";
    return *why ? NULL : made;
}

uint64_t bits(stream *random)
{
    uint64_t *s = random->state, sum = s[0] + s[3], shifted = s[1] << 17;
    uint64_t result = (sum << 23 | sum >> 41) + s[0];
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

void seed_stream(stream *random, uint64_t seed, uint64_t purpose)
{
    uint64_t x = seed * 0x2545f4914f6cdd1d ^ purpose * 0xd1342543de82ef95;
    for (int i = 0; i < 4; i++) {
        uint64_t z = x += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        random->state[i] = z ^ z >> 31;
    }
    random->has_spare = 0;
}

double uniform(stream *random)
{
    return (double)(bits(random) >> 11) / 9007199254740992.0;
}

static double normal(stream *random)
{
    if (random->has_spare) {
        random->has_spare = 0;
        return random->spare;
    }
    for (;;) {
        double u = 2 * uniform(random) - 1, v = 2 * uniform(random) - 1, s = u * u + v * v;
        if (s > 0 && s < 1) {
            double scale = sqrt(-2 * log(s) / s);
            random->spare = v * scale;
            random->has_spare = 1;
            return u * scale;
        }
    }
}

static double gamma_variate(double shape, stream *random)
{
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = normal(random), v = 1 + c * x;
        if (v > 0) {
            v = v * v * v;
            if (log(1 - uniform(random)) < 0.5 * x * x + d - d * v + d * log(v))
                return d * v;
        }
    }
}

static double poisson(double lambda, stream *random)
{
    double p = 1;
    int k = 0;
    while ((p *= 1 - uniform(random)) > exp(-lambda))
        k++;
    return k;
}

/* Relaxations a factor of four apart, from 4 s to 18 hours, each of size 1. */
static double flicker(expression *e, stream *random)
{
    double sum = 0, constant = 4;
    for (int i = 0; i < MAX_PARTS; i++, constant *= 4) {
        double keep = exp(-1 / constant);
        sum += e->memory[i] = keep * e->memory[i] + sqrt(1 - keep * keep) * normal(random);
    }
    return sum;
}

/* It is as long at the start as at any time. */
static double correlated(expression *e, double seconds, double time, stream *random)
{
    double keep = e->number++ ? exp(-fmax(time - e->since, 0) / seconds) : 0, fresh = sqrt(1 - keep * keep);
    e->since = time;
    for (int i = 0; i < 2; i++)
        e->memory[i] = keep * e->memory[i] + fresh * normal(random);
    return 0.5 * (e->memory[0] * e->memory[0] + e->memory[1] * e->memory[1]);
}

double value(expression *e, double time, stream *random)
{
    double v[MAX_PARTS] = {0}, low = INFINITY, high = -INFINITY, sum = 0, product = 1;
    for (int i = 0; i < e->count; i++) {
        v[i] = value(e->parts[i], time, random);
        sum += v[i];
        product *= v[i];
        if (e->kind != EQUAL || i > 0) {
            low = fmin(low, v[i]);
            high = fmax(high, v[i]);
        }
    }
    switch (e->kind) {
    case NUMBER: return e->number;
    case TIME: return time;
    case ADD: return sum;
    case MULTIPLY: return product;
    case MODULO: return fmod(v[0], v[1]);
    case EQUAL: return high - low <= v[0];
    case MAX: return high;
    case MIN: return low;
    case SUM: return e->number += sum;
    case UNIFORM: return uniform(random);
    case NORMAL: return normal(random);
    case EXPONENTIAL: return -log(1 - uniform(random));
    case POISSON: return poisson(v[0], random);
    case PULSE: return fmod(e->number++, v[0] + v[1]) < v[0] ? 1 : -1;
    case SINE: return sin(e->number++ / v[0] * 2 * M_PI);
    case COSINE: return cos(e->number++ / v[0] * 2 * M_PI);
    case TRIANGLE: sum = e->number++ / v[0]; return 1 - 4 * fabs(sum - floor(sum) - 0.5);
    case ABSOLUTE: return fabs(v[0]);
    case GAMMA: return gamma_variate(v[0], random);
    case PARETO: return pow(1 - uniform(random), -1 / v[0]) - 1;
    case CORRELATED: return correlated(e, v[0], time, random);
    case FLICKER: return flicker(e, random);
    }
    return NAN;
}
