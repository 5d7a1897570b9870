//! A hardware clock in numbers: it beats on the simulated kernel's oscillator.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ntp_clock::rtc::{RtcDevice, RtcTime};
use ntp_clock::Errno;
use ntp_types::UnixTime;

use super::SimKernel;

/// What setting does to the beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The next second begins this many nanoseconds after the clock was set.
    RestartsAfter(u128),
    /// It goes on as before.
    Stays,
}

#[derive(Debug, Clone)]
pub struct SimRtc(pub Rc<RefCell<Chip>>, SimKernel);

#[derive(Debug)]
pub struct Chip {
    /// Raw nanoseconds at which `seconds` began.
    pub began: u128,
    pub seconds: i64,
    pub beat: Beat,
    pub has_interrupt: bool,
    pub is_interrupt_on: bool,
    pub announced: u128,
    pub is_lost: bool,
    pub is_stopped: bool,
    pub voltage: Result<u32, Errno>,
    pub parameters: Vec<(u64, u64)>,
    pub calls: usize,
    pub fault: Option<(usize, Errno)>,
    pub sets: usize,
}

const SECOND: u128 = 1_000_000_000;

impl SimRtc {
    /// Shows `seconds`, of which `into` nanoseconds have passed.
    pub fn new(kernel: &SimKernel, seconds: i64, into: u128, beat: Beat) -> Self {
        let began = kernel.raw_nanos() - into;
        let chip = Chip {
            began,
            seconds,
            beat,
            has_interrupt: true,
            is_interrupt_on: false,
            announced: 0,
            is_lost: false,
            is_stopped: false,
            voltage: Err(Errno::ENOTTY),
            parameters: vec![(0, 0x11)],
            calls: 0,
            fault: None,
            sets: 0,
        };
        Self(Rc::new(RefCell::new(chip)), kernel.clone())
    }

    pub fn chip<T>(&self, with: impl FnOnce(&mut Chip) -> T) -> T {
        with(&mut self.0.borrow_mut())
    }

    /// How far it is ahead of the simulated system clock now, in nanoseconds.
    pub fn ahead_nanos(&self) -> i128 {
        let raw = self.1.raw_nanos();
        self.chip(|chip| i128::from(chip.seconds) * SECOND as i128 + raw as i128 - chip.began as i128)
            - self.1.real_nanos()
    }

    fn enter(&self) -> Result<(), Errno> {
        self.1.advance(Duration::from_micros(20));
        let raw = self.1.raw_nanos();
        self.chip(|chip| {
            chip.calls += 1;
            while !chip.is_stopped && raw >= chip.began + SECOND {
                chip.began += SECOND;
                chip.seconds += 1;
            }
            match chip.fault {
                Some((call, errno)) if call == chip.calls - 1 => Err(errno),
                _ => Ok(()),
            }
        })
    }
}

impl RtcDevice for SimRtc {
    fn read_time(&self) -> Result<RtcTime, Errno> {
        self.enter()?;
        self.chip(|chip| {
            if chip.is_lost {
                return Err(Errno::EINVAL);
            }
            RtcTime::from_unix(UnixTime::from_seconds(chip.seconds)).map_err(|_| Errno::ERANGE)
        })
    }

    fn set_time(&self, time: &RtcTime) -> Result<(), Errno> {
        self.enter()?;
        let raw = self.1.raw_nanos();
        self.chip(|chip| {
            chip.seconds = time.to_unix().map_err(|_| Errno::EINVAL)?.seconds();
            if let Beat::RestartsAfter(delay) = chip.beat {
                chip.began = raw + delay - SECOND;
            }
            chip.is_lost = false;
            chip.sets += 1;
            Ok(())
        })
    }

    fn update_interrupt(&self, is_on: bool) -> Result<(), Errno> {
        self.enter()?;
        self.chip(|chip| {
            if !chip.has_interrupt {
                return Err(Errno::EINVAL);
            }
            chip.is_interrupt_on = is_on;
            chip.announced = chip.began;
            Ok(())
        })
    }

    fn wait(&self, limit: Duration) -> Result<bool, Errno> {
        self.enter()?;
        let raw = self.1.raw_nanos();
        let left = self.chip(|chip| (chip.began + SECOND).saturating_sub(raw));
        let is_stopped = self.chip(|chip| chip.is_stopped || !chip.is_interrupt_on);
        if self.chip(|chip| chip.began != chip.announced) {
            self.chip(|chip| chip.announced = chip.began);
            return Ok(true);
        }
        if is_stopped || left > limit.as_nanos() {
            self.1.advance(limit);
            return Ok(false);
        }
        self.1.advance(Duration::from_nanos(left as u64 + 30_000)); // the interrupt takes its time
        self.enter()?;
        self.chip(|chip| chip.announced = chip.began);
        Ok(true)
    }

    fn parameter(&self, parameter: u64) -> Result<u64, Errno> {
        self.enter()?;
        self.chip(|chip| {
            let known = chip.parameters.iter().find(|(name, _)| *name == parameter);
            known.map(|(_, value)| *value).ok_or(Errno::EINVAL)
        })
    }

    fn set_parameter(&self, parameter: u64, value: u64) -> Result<(), Errno> {
        self.enter()?;
        self.chip(|chip| {
            let known = chip.parameters.iter_mut().find(|(name, _)| *name == parameter);
            known.map(|(_, held)| *held = value).ok_or(Errno::EINVAL)
        })
    }

    fn voltage(&self) -> Result<u32, Errno> {
        self.enter()?;
        self.chip(|chip| chip.voltage)
    }

    fn clear_voltage(&self) -> Result<(), Errno> {
        self.enter()?;
        self.chip(|chip| chip.voltage = chip.voltage.map(|_| 0));
        Ok(())
    }
}
