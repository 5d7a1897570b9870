//! RFC 5905's formulas written down a second time, slowly and in floating-point seconds, independent of the crate.

#![allow(dead_code)] // each test binary uses its part
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test stops where it is wrong
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // small numbers

pub(crate) const PHI: f64 = 15e-6;
pub(crate) const MAXDISP: f64 = 16.0;

/// One tuple of the register; no time is a dummy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuple {
    pub(crate) offset: f64,
    pub(crate) delay: f64,
    pub(crate) disp: f64,
    pub(crate) at: Option<f64>,
}

/// §10: the filter as a list that only grows; what the register would hold is worked out anew each time.
#[derive(Default)]
pub(crate) struct Filter {
    pushed: Vec<(f64, Tuple)>,
}

impl Filter {
    pub(crate) fn push(&mut self, now: f64, tuple: Tuple) {
        self.pushed.push((now, tuple));
    }

    /// (offset, delay, dispersion, jitter before its floor, time).
    pub(crate) fn best(&self) -> Option<(f64, f64, f64, f64, f64)> {
        let last = self.pushed.last()?.0;
        let mut register: Vec<Tuple> = self
            .pushed
            .iter()
            .rev()
            .take(8)
            .map(|&(when, tuple)| Tuple { disp: (tuple.disp + PHI * (last - when)).min(MAXDISP), ..tuple })
            .collect();
        while register.len() < 8 {
            register.push(Tuple { offset: 0.0, delay: MAXDISP, disp: MAXDISP, at: None });
        }
        // The newest of equal delays leads. Dummies last whatever their delay.
        let newest = |tuple: &Tuple| tuple.at.unwrap_or(f64::NEG_INFINITY);
        register.sort_by(|a, b| {
            let dummies = a.at.is_none().cmp(&b.at.is_none());
            dummies.then(a.delay.total_cmp(&b.delay)).then(newest(b).total_cmp(&newest(a)))
        });
        let at = register[0].at?;
        let disp = (0..8).map(|i| register[i].disp / 2_f64.powi(i as i32 + 1)).sum();
        let valid: Vec<&Tuple> = register.iter().filter(|tuple| tuple.at.is_some()).collect();
        let squares: f64 = valid.iter().map(|tuple| (register[0].offset - tuple.offset).powi(2)).sum();
        let jitter = if valid.len() > 1 { (squares / (valid.len() - 1) as f64).sqrt() } else { 0.0 };
        Some((register[0].offset, register[0].delay, disp, jitter, at))
    }
}

/// A.5.2 and A.5.7.1: the filter, the prime directive (a sample is used once, and never one older than the last used), the
/// popcorn suppressor, and a dummy for three polls without an answer.
#[derive(Default)]
pub(crate) struct Peer {
    pub(crate) filter: Filter,
    /// (offset, delay, dispersion, jitter, time).
    pub(crate) used: Option<(f64, f64, f64, f64, f64)>,
    /// A jump was so near the gate that rounding decides.
    pub(crate) is_close: bool,
}

impl Peer {
    pub(crate) fn push(&mut self, now: f64, tuple: Tuple, poll: f64, precision: f64) {
        self.filter.push(now, tuple);
        let Some((offset, delay, disp, jitter, at)) = self.filter.best() else {
            self.used = None;
            return;
        };
        if let Some(used) = &mut self.used {
            let is_older = at < used.4;
            let beyond = (offset - used.0).abs() - 3.0 * used.3;
            self.is_close |= beyond.abs() < 2e-9;
            let is_spike = used.2 < 1.0 && beyond > 0.0 && at - used.4 < 2.0 * poll;
            if is_older || at > used.4 && is_spike {
                used.2 = disp;
                return;
            }
        }
        self.used = Some((offset, delay, disp, jitter.max(precision), at));
    }
}

/// §11.2.1 by definition, on whole numbers (offset, half width): (low, high, allowed).
pub(crate) fn select(sources: &[(i64, i64)]) -> Option<(i64, i64, usize)> {
    let m = sources.len();
    let covering = |x: i64| sources.iter().filter(|s| s.0 - s.1 <= x && x <= s.0 + s.1).count();
    for f in (0..m).take_while(|f| 2 * f < m) {
        let low = sources.iter().map(|s| s.0 - s.1).filter(|&x| covering(x) >= m - f).min();
        let high = sources.iter().map(|s| s.0 + s.1).filter(|&x| covering(x) >= m - f).max();
        let (Some(low), Some(high)) = (low, high) else { continue };
        let outside = sources.iter().filter(|s| s.0 < low || s.0 > high).count();
        if outside <= f && low < high {
            return Some((low, high, f));
        }
    }
    None
}

/// §11.2.2 on (index, offset, jitter, root distance, stratum): indices of survivors in order, and of outliers.
pub(crate) fn cluster(sources: &[(usize, f64, f64, f64, u8)]) -> (Vec<usize>, Vec<usize>) {
    let mut list = sources.to_vec();
    list.sort_by(|a, b| (f64::from(a.4) + a.3).total_cmp(&(f64::from(b.4) + b.3)).then(a.0.cmp(&b.0)));
    let mut outliers = Vec::new();
    while list.len() > 3 {
        let n = list.len() as f64;
        let psi = |i: usize| (list.iter().map(|q| (q.1 - list[i].1).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        // Which is the worst is decided in whole numbers: equals must be equal.
        let bits = |i: usize| (list[i].1 * 2_f64.powi(32)).round() as i128;
        let sum = |i: usize| (0..list.len()).map(|j| (bits(j) - bits(i)).pow(2)).sum::<i128>();
        let mut worst = 0;
        for i in 0..list.len() {
            if sum(i) >= sum(worst) {
                worst = i;
            }
        }
        let least = list.iter().map(|p| p.2).fold(f64::MAX, f64::min);
        if psi(worst) < least {
            break;
        }
        outliers.push(list.remove(worst).0);
    }
    (list.iter().map(|p| p.0).collect(), outliers)
}

/// §11.2.3 on (offset, root distance): (offset, jitter).
pub(crate) fn combine(survivors: &[(f64, f64)]) -> (f64, f64) {
    let y: f64 = survivors.iter().map(|s| 1.0 / s.1).sum();
    let z: f64 = survivors.iter().map(|s| s.0 / s.1).sum();
    let w: f64 = survivors.iter().map(|s| (s.0 - survivors[0].0).powi(2) / s.1).sum();
    (z / y, (w / y).sqrt())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum S {
    Nset,
    Fset,
    Spik,
    Freq,
    Sync,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rval {
    Panic,
    Step,
    Slew,
    Ignore,
}

/// A.5.5.6 to A.5.6.1: `local_clock`, `rstclock` and `clock_adjust`, second by second.
pub(crate) struct Clock {
    pub(crate) state: S,
    pub(crate) offset: f64,
    pub(crate) last: f64,
    pub(crate) base: f64,
    pub(crate) freq: f64,
    pub(crate) jitter: f64,
    pub(crate) wander: f64,
    pub(crate) count: i32,
    pub(crate) poll: i32,
    pub(crate) t: f64,
    pub(crate) precision: f64,
    pub(crate) minpoll: i32,
    pub(crate) maxpoll: i32,
}

impl Clock {
    pub(crate) fn local_clock(&mut self, now: f64, offset: f64) -> Rval {
        const PLL: f64 = 16.0;
        const ALLAN: f64 = 1500.0;
        const AVG: f64 = 8.0;
        const WATCH: f64 = 900.0;
        if offset.abs() > 1000.0 {
            return Rval::Panic;
        }
        let mut rval = Rval::Slew;
        let mu = now - self.t;
        let mut freq = 0.0;
        if offset.abs() > 0.128 {
            match self.state {
                S::Sync => {
                    self.state = S::Spik;
                    return Rval::Ignore;
                }
                S::Freq => {
                    if mu < WATCH {
                        return Rval::Ignore;
                    }
                    freq = (offset - self.base - self.offset) / mu;
                }
                S::Spik => {
                    if mu < WATCH {
                        return Rval::Ignore;
                    }
                }
                S::Nset | S::Fset => {}
            }
            self.count = 0;
            self.poll = self.minpoll;
            rval = Rval::Step;
            let was = self.state;
            self.offset = 0.0; // the step has taken it
            if was == S::Nset {
                self.rstclock(S::Freq, 0.0, now);
                return rval;
            }
            self.rstclock(S::Sync, 0.0, now);
            if was == S::Freq {
                self.learn(freq);
            }
            return rval;
        }
        let etemp = self.jitter.powi(2);
        let dtemp = (offset - self.last).abs().max(self.precision).powi(2);
        self.jitter = (etemp + (dtemp - etemp) / AVG).sqrt();
        match self.state {
            S::Nset => {
                self.offset = offset;
                self.rstclock(S::Freq, offset, now);
                return rval; // the phase is adjusted (figure 28)
            }
            S::Fset => self.offset = offset,
            S::Freq => {
                if mu < WATCH {
                    return Rval::Ignore;
                }
                freq = (offset - self.base - self.offset) / mu;
            }
            S::Sync | S::Spik => {
                let interval = 2_f64.powi(self.poll);
                if interval > ALLAN / 2.0 {
                    let etemp = (18.0 - f64::from(self.poll)).max(AVG);
                    freq += (offset - self.offset) / (mu.max(ALLAN) * etemp);
                }
                let dtemp = 4.0 * PLL * interval;
                freq += offset * mu.min(interval) / (dtemp * dtemp);
            }
        }
        self.offset = offset;
        self.rstclock(S::Sync, offset, now);
        self.learn(freq);
        if self.offset.abs() < 4.0 * self.jitter {
            self.count += self.poll;
            if self.count > 30 {
                self.count = 30;
                if self.poll < self.maxpoll {
                    self.count = 0;
                    self.poll += 1;
                }
            }
        } else {
            self.count -= self.poll << 1;
            if self.count < -30 {
                self.count = -30;
                if self.poll > self.minpoll {
                    self.count = 0;
                    self.poll -= 1;
                }
            }
        }
        rval
    }

    fn learn(&mut self, change: f64) {
        let before = self.freq;
        self.freq = (before + change).clamp(-500e-6, 500e-6);
        let etemp = self.wander.powi(2);
        self.wander = (etemp + ((self.freq - before).powi(2) - etemp) / 8.0).sqrt();
    }

    fn rstclock(&mut self, state: S, offset: f64, t: f64) {
        self.state = state;
        self.base = offset - self.offset;
        self.last = offset;
        self.offset = offset;
        self.t = t;
    }

    /// One second passes; what was paid out in it.
    pub(crate) fn clock_adjust(&mut self) -> f64 {
        let dtemp = self.offset / (16.0 * 2_f64.powi(self.poll).min(1500.0));
        self.offset -= dtemp;
        dtemp
    }
}
