"""Scenarios that nobody has chosen: a machine, its ways and its servers drawn from a seed."""

import math
import random
import re


def scenarios(count, draw):
    """The first `count` of a draw."""
    return (named(f"{draw}-{number}") for number in range(1, count + 1))


def is_name(text):
    return re.fullmatch(r"\d+-\d+", text) is not None


def named(name):
    """The scenario of this name, however many are drawn."""
    return {"name": name, **scenario(Chance(name))}


class Chance(random.Random):
    def log(self, low, high):
        """Three digits of something whose size is unknown."""
        return float(f"{math.exp(self.uniform(math.log(low), math.log(high))):.3g}")

    def either(self, size):
        return self.choice((-1, 1)) * size

    def does(self, share):
        return self.random() < share


def scenario(chance):
    limit = round(chance.log(7200, 86400))
    count = 1 if chance.does(0.5) else chance.randint(2, 8)
    alike = chance.does(0.4)
    servers, bias = [], 0
    common = way(chance, limit)
    for _ in range(count):
        server, bias = ends(chance, common if alike else way(chance, limit), limit, count == 1)
        servers.append(server)
    about = f"{count} servers" if count > 1 else "one server"
    if count > 2 and chance.does(0.6):
        about += ", wrong: " + err(chance, servers, limit)
    return {
        "about": about,
        "class": "one" if count == 1 else "many",
        "poll": chance.choice(("6", "6", "6", "4-6", "free", "free", "free", "10")),
        "servers": servers,
        "limit": limit,
        "settle": limit // 6,
        "offset": chance.either(chance.log(1e-6, 1) if chance.does(0.8) else chance.log(1, 1e4)),
        "bias": bias if count == 1 else 0,
        "freq": frequency(chance, limit),
        "raw_steered": int(chance.does(0.5)),
        "date": chance.choice((1262304000, 1767225600, chance.randint(1798761600, 2051222400))),
    }


def frequency(chance, limit):
    constant = chance.either(chance.log(1e-7, 4.5e-4))
    wander = chance.log(1e-11, 1e-7 if chance.does(0.9) else 1e-6)
    parts = [constant, f"(sum (* {wander} (normal)))"]
    if chance.does(0.2):
        parts.append(f"(* {chance.log(1e-10, 1e-8)} (flicker))")
    if chance.does(0.2):
        parts.append(f"(* {chance.log(1e-9, 1e-7)} (normal))")
    if chance.does(0.2):
        parts.append(f"(* {chance.log(1e-8, 2e-6)} (sine {round(chance.log(600, 86400))}))")
    if chance.does(0.15):
        parts.append(f"(* {chance.either(chance.log(1e-7, 3e-5))} {since(moment(chance, limit))})")
    return plus(parts)


def way(chance, limit):
    """What the delays of one server, or of all that are alike, are made of."""
    base = chance.log(1e-5, 0.25)
    size = chance.log(max(1e-7, base / 1000), min(0.1, 2 * base))
    events = []
    if chance.does(0.08):
        events.append(f"(* {chance.log(1e-3, 5e-2)} {since(moment(chance, limit))})")
    if chance.does(0.05):
        # As much shorter from then on as it is longer before.
        events.append(f"(* {chance.log(1e-3, 5e-2)} (equal 1e9 time {moment(chance, limit) - 10**9}))")
    if chance.does(0.08):
        half = chance.log(300, limit / 6)
        events.append(f"(* -100 (equal {half} time {moment(chance, limit)}))")
    if chance.does(0.25):
        half = chance.log(0.005, 0.4)
        events.append(f"(* -100 (equal {half} (uniform) {half}))")
    return {"base": base, "queues": queues(chance, size), "events": events}


def queues(chance, size):
    """Their kind is drawn once, so that both directions have the same; at a factor of this size."""
    period = round(chance.log(600, 14400))
    share = chance.uniform(0.1, 0.9)
    burst = f"(* {chance.log(2, 50)} (exponential) (equal {period * share / 2:.0f} (% time {period}) {period / 2}))"
    kinds = [
        (5, "(exponential)"),
        (1, f"(* 0.4 (gamma {chance.uniform(1.2, 4):.2f}))"),
        (1, f"(pareto {chance.uniform(1.3, 4):.2f})"),
        (1, f"(+ (* {chance.log(0.01, 0.3)} (exponential)) (correlated {round(chance.log(60, 7200))}))"),
        (1, f"(+ (exponential) {burst})"),
        (1, "(abs (normal))"),
        (0.5, "(uniform)"),
        (0.5, "0"),
    ]
    kind = chance.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])[0]
    return lambda factor: f"(* {size * factor:.4g} {kind})"


def ends(chance, way, limit, is_alone):
    """One server behind a way, and the error that nobody could see if it were the only one."""
    base, skew, asymmetry = way["base"], 1, 0
    if chance.does(0.15):
        skew = chance.log(0.05, 20)
    if is_alone and chance.does(0.1):
        asymmetry = chance.uniform(-0.3, 0.3) * base
    up = [f"{base + asymmetry:.6g}", way["queues"](min(skew, 1)), *way["events"]]
    down = [f"{base - asymmetry:.6g}", way["queues"](min(1 / skew, 1)), *way["events"]]
    if chance.does(0.05):
        longer = f"(* {chance.log(1e-3, 5e-2)} (equal {chance.log(300, limit / 10)} time {moment(chance, limit)}))"
        chance.choice((up, down)).append(longer)
    server = {"up": plus(up), "down": plus(down)}
    if chance.does(0.05):
        server["twice"] = chance.log(0.01, 0.3)
    if chance.does(0.05):
        server["overtaken"] = chance.log(0.01, 0.3)
    return server, asymmetry


def err(chance, servers, limit):
    """Makes a minority of them wrong."""
    wrong = chance.sample(servers, chance.randint(1, (len(servers) - 1) // 2))
    kind = chance.choice(("constant", "subtle", "drifting", "jumping", "for a while", "asymmetric"))
    together = len(wrong) > 1 and chance.does(0.5)
    shared = error(chance, kind, limit)
    for server in wrong:
        wrongness = shared if together else error(chance, kind, limit)
        if kind == "asymmetric":
            server["up"] = f"(+ {abs(wrongness)} {server['up']})"
        else:
            server["wrong"] = wrongness
    return f"{len(wrong)} {kind}" + (" together" if together else "")


def error(chance, kind, limit):
    if kind == "constant":
        return chance.either(chance.log(2e-2, 10))
    if kind == "drifting":
        return f"(* {chance.either(chance.log(1e-8, 1e-5))} (max 0 (+ time -{moment(chance, limit)})))"
    size = chance.either(chance.log(5e-4, 5e-2))
    if kind == "jumping":
        return f"(* {size} {since(moment(chance, limit))})"
    if kind == "for a while":
        return f"(* {size} (equal {chance.log(100, limit / 8)} time {moment(chance, limit)}))"
    return size


def moment(chance, limit):
    return round(chance.uniform(0.2, 0.9) * limit)


def since(moment):
    return f"(equal 1e9 time {10**9 + moment})"


def plus(parts):
    return f"(+ {' '.join(str(part) for part in parts)})"
