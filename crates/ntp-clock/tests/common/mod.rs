//! A kernel's clock in numbers, with the traps that the real one was seen to have.

#![allow(dead_code, unreachable_pub)] // each test binary uses its part
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)] // simulated times are small

pub mod rtc;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ntp_clock::kernel::{modes, ClockId, Kernel, PtpCapabilities, Timex};
use ntp_clock::Errno;
use ntp_types::{Applied, Instant, NtpDuration, UnixTime};

const PLL: i32 = 0x01;
const UNSYNC: i32 = 0x40;
const NANO: i32 = 0x2000;
const READ_ONLY: i32 = 0xff00;

/// Handles share one clock.
#[derive(Debug, Clone)]
pub struct SimKernel(Rc<RefCell<State>>);

#[derive(Debug, Clone)]
pub struct State {
    /// Nanoseconds of an oscillator that nobody steers.
    pub raw: u128,
    /// Clock's time in 2⁻³² ns, so that rates do not round.
    real: i128,
    pub timex: Timex,
    /// Microseconds the kernel's own slew has still to begin on, and what this second takes.
    single_left: i64,
    single_now: i64,
    /// The oscillator's own error in 2⁻¹⁶ ppm.
    pub wander: i64,
    pub is_privileged: bool,
    /// A simulator whose monotonic clock is steered too.
    pub is_monotonic_steered: bool,
    steered_monotonic: i128,
    /// The structure's time is left empty, as a simulator does.
    pub has_no_time: bool,
    /// Nanoseconds slept through; `None` where the kernel cannot say.
    pub asleep: Option<u128>,
    /// How long a call takes.
    pub call: Duration,
    pub calls: usize,
    /// Fail the n-th call from now on with this errno.
    pub fault: Option<(usize, Errno)>,
    pub log: Vec<Timex>,
    pub zone: Option<i32>,
    /// Seconds east of Greenwich.
    pub zone_rule: fn(UnixTime) -> i32,
}

impl SimKernel {
    pub fn new(start: UnixTime) -> Self {
        let timex = Timex {
            tick: 10_000,
            maxerror: 16_000_000,
            esterror: 16_000_000,
            status: UNSYNC,
            tolerance: 500 << 16,
            precision: 1,
            ..Timex::default()
        };
        Self(Rc::new(RefCell::new(State {
            raw: 5_000_000_000,
            asleep: Some(0),
            real: start.to_nanos() << 32,
            timex,
            single_left: 0,
            single_now: 0,
            wander: 0,
            is_privileged: true,
            is_monotonic_steered: false,
            steered_monotonic: 5_000_000_000 << 32,
            has_no_time: false,
            call: Duration::from_nanos(100),
            calls: 0,
            fault: None,
            log: Vec::new(),
            zone: None,
            zone_rule: |_| 0,
        })))
    }

    pub fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.borrow_mut())
    }

    pub fn advance(&self, elapsed: Duration) {
        self.state(|state| state.advance(elapsed.as_nanos()));
    }

    /// The clock's time in nanoseconds.
    pub fn real_nanos(&self) -> i128 {
        self.state(|state| state.real >> 32)
    }

    pub fn raw_nanos(&self) -> u128 {
        self.state(|state| state.raw)
    }

    /// The rate in 2⁻¹⁶ ppm, without the kernel's own slew.
    pub fn rate_scaled(&self) -> i64 {
        self.state(|state| state.timex.freq + (state.timex.tick - 10_000) * (100 << 16))
    }

    pub fn fail_call(&self, nth: usize, errno: Errno) {
        self.state(|state| state.fault = Some((state.calls + nth, errno)));
    }

    fn enter(&self) -> Result<(), Errno> {
        self.state(|state| {
            state.advance(state.call.as_nanos());
            state.calls += 1;
            match state.fault {
                Some((call, errno)) if call == state.calls - 1 => Err(errno),
                _ => Ok(()),
            }
        })
    }
}

impl State {
    fn advance(&mut self, nanos: u128) {
        let mut left = nanos as i128;
        while left > 0 {
            let scaled =
                self.wander + self.timex.freq + (self.timex.tick - 10_000) * (100 << 16) + (self.single_now << 16);
            // 2⁻³² ns per ns, from 2⁻¹⁶ ppm.
            let rate = (1_i128 << 32) + ((scaled as i128) << 16) / 1_000_000;
            let second = 1_000_000_000_i128 << 32;
            let to_second = second - self.real.rem_euclid(second);
            let step = left.min((to_second + rate - 1) / rate).max(1);
            self.real += step * rate;
            self.steered_monotonic += step * rate;
            self.raw += step as u128;
            left -= step;
            if step * rate >= to_second {
                self.second();
            }
        }
    }

    fn second(&mut self) {
        self.single_now = self.single_left.clamp(-500, 500);
        self.single_left -= self.single_now;
        self.timex.maxerror += 500;
        if self.timex.maxerror > 16_000_000 {
            self.timex.maxerror = 16_000_000;
            self.timex.status |= UNSYNC;
        }
    }

    fn clear(&mut self) {
        self.timex.status |= UNSYNC;
        self.timex.maxerror = 16_000_000;
        self.timex.esterror = 16_000_000;
        self.single_left = 0;
        self.single_now = 0;
    }

    fn adjust(&mut self, timex: &mut Timex, is_device: bool) -> Result<i32, Errno> {
        if is_device {
            return self.adjust_device(timex);
        }
        let is_single = timex.modes & 0x8000 != 0;
        let reads_only = timex.modes == 0 || timex.modes == modes::OFFSET_SS_READ;
        if !reads_only && !self.is_privileged {
            return Err(Errno::EPERM);
        }
        let mut single_before = None;
        if is_single {
            single_before = Some(self.single_left);
            if !reads_only {
                self.single_left = timex.offset;
            }
        } else {
            if timex.modes & modes::TICK != 0 && !(9_000..=11_000).contains(&timex.tick) {
                return Err(Errno::EINVAL);
            }
            let unit = if timex.modes & modes::NANO != 0 { 1 } else { 1_000 };
            if timex.modes & modes::SETOFFSET != 0 {
                if timex.fraction < 0 || timex.fraction * unit >= 1_000_000_000 {
                    return Err(Errno::EINVAL);
                }
                self.real += (i128::from(timex.seconds) * 1_000_000_000 + i128::from(timex.fraction * unit)) << 32;
                self.clear();
            }
            if timex.modes & modes::STATUS != 0 {
                if self.timex.status & PLL != 0 && timex.status & PLL == 0 {
                    self.timex.status = UNSYNC; // and STA_NANO is lost
                }
                self.timex.status = (self.timex.status & READ_ONLY) | (timex.status & !READ_ONLY);
            }
            if timex.modes & modes::NANO != 0 {
                self.timex.status |= NANO;
            }
            if timex.modes & modes::FREQUENCY != 0 {
                self.timex.freq = timex.freq.clamp(-(500 << 16), 500 << 16);
            }
            if timex.modes & modes::TICK != 0 {
                self.timex.tick = timex.tick;
            }
            if timex.modes & modes::MAXERROR != 0 {
                self.timex.maxerror = timex.maxerror;
            }
            if timex.modes & modes::ESTERROR != 0 {
                self.timex.esterror = timex.esterror;
            }
            if timex.modes & modes::TAI != 0 && timex.constant >= 0 {
                self.timex.tai = timex.constant as i32;
            }
            if !reads_only {
                self.log.push(*timex);
            }
        }
        *timex = self.timex;
        if let Some(before) = single_before {
            timex.offset = before;
        }
        let nanos = self.real >> 32;
        timex.seconds = if self.has_no_time { 0 } else { nanos.div_euclid(1_000_000_000) as i64 };
        let unit = if timex.status & NANO != 0 { 1 } else { 1_000 };
        timex.fraction = if self.has_no_time { 0 } else { nanos.rem_euclid(1_000_000_000) as i64 / unit };
        Ok(if self.timex.status & UNSYNC != 0 { 5 } else { 0 })
    }
}

impl State {
    /// As the kernel's PTP layer: a step, else a frequency, never both.
    fn adjust_device(&mut self, timex: &mut Timex) -> Result<i32, Errno> {
        if timex.modes & modes::SETOFFSET != 0 {
            if !(0..1_000_000_000).contains(&timex.fraction) {
                return Err(Errno::EINVAL);
            }
            self.real += (i128::from(timex.seconds) * 1_000_000_000 + i128::from(timex.fraction)) << 32;
        } else if timex.modes & modes::FREQUENCY != 0 {
            if ((timex.freq * 1_000) >> 16).abs() > 62_499_999 {
                return Err(Errno::ERANGE);
            }
            self.timex.freq = timex.freq;
        }
        *timex = Timex { freq: self.timex.freq, ..Timex::default() };
        Ok(0)
    }
}

impl Kernel for SimKernel {
    fn clock_gettime(&self, clock: ClockId) -> Result<UnixTime, Errno> {
        self.enter()?;
        self.state(|state| match clock {
            ClockId::MonotonicRaw if state.is_monotonic_steered => {
                UnixTime::from_nanos(state.steered_monotonic >> 32).ok_or(Errno::EINVAL)
            }
            ClockId::MonotonicRaw => UnixTime::from_nanos(state.raw as i128).ok_or(Errno::EINVAL),
            ClockId::Monotonic => UnixTime::from_nanos(state.raw as i128).ok_or(Errno::EINVAL),
            ClockId::Boottime => {
                let asleep = state.asleep.ok_or(Errno::EINVAL)?;
                UnixTime::from_nanos((state.raw + asleep) as i128).ok_or(Errno::EINVAL)
            }
            _ => UnixTime::from_nanos(state.real >> 32).ok_or(Errno::EINVAL),
        })
    }

    fn clock_settime(&self, _: ClockId, time: UnixTime) -> Result<(), Errno> {
        self.enter()?;
        self.state(|state| {
            if !state.is_privileged {
                return Err(Errno::EPERM);
            }
            if time.seconds() < 0 || time.to_nanos() < state.raw as i128 {
                return Err(Errno::EINVAL);
            }
            state.real = time.to_nanos() << 32;
            state.clear();
            Ok(())
        })
    }

    fn clock_adjtime(&self, clock: ClockId, timex: &mut Timex) -> Result<i32, Errno> {
        self.enter()?;
        self.state(|state| state.adjust(timex, matches!(clock, ClockId::Descriptor(_))))
    }

    fn set_time_zone(&self, minutes_west: i32) -> Result<(), Errno> {
        self.enter()?;
        self.state(|state| {
            if minutes_west.abs() > 15 * 60 {
                return Err(Errno::EINVAL);
            }
            state.zone = Some(minutes_west);
            Ok(())
        })
    }

    fn utc_offset(&self, time: UnixTime) -> Result<i32, Errno> {
        self.enter()?;
        Ok(self.state(|state| (state.zone_rule)(time)))
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }

    fn ptp_capabilities(&self, _: i32) -> Result<PtpCapabilities, Errno> {
        self.enter()?;
        Ok(PtpCapabilities { max_frequency_ppb: 62_499_999, ..PtpCapabilities::default() })
    }
}

/// Adds up what was booked.
#[derive(Debug, Default)]
pub struct Books {
    total: NtpDuration,
    last: Applied,
}

impl Books {
    pub fn add(&mut self, applied: Applied) {
        self.total = self.at(applied.at) + applied.stepped;
        self.last = Applied { stepped: NtpDuration::ZERO, ..applied };
    }

    pub fn at(&self, now: Instant) -> NtpDuration {
        self.total + self.last.accumulated(now)
    }
}
